"""``python -m benchmarks.teach.accuracy``: accuracy of taught heads on photos that were set aside.

Sets with a split of their own are fitted to its one part and judged on the other; of these, pairs
of classes are also fitted to a few photos of each. Other sets are split at random.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.support import results
from benchmarks.teach import plots
from benchmarks.teach.labelled import Labelled, load
from service.teach.heads.fitting import FitOptions, Fitted, Targets, fit
from service.teach.heads.targets import HeadChoice

KINDS: tuple[HeadChoice, ...] = ("linear", "kernel", "best")
OF_PAIRS = (5, 10, 20, 50)
DRAWS = 4
SPLITS = 5
TEST_SHARE = 0.2


def main() -> None:
    """Measure; print rows and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.teach.accuracy", description=__doc__
    )
    fixed = ("NAME", "TRAIN", "TEST")
    parser.add_argument("--fixed", nargs=3, metavar=fixed, action="append", default=[])
    parser.add_argument("--split", nargs=2, metavar=("NAME", "DIR"), action="append", default=[])
    parser.add_argument("--leave-out", action="append", default=[], help="class that is no kind")
    parser.add_argument("--base", default="imagenet", help="built-in model that gives features")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    pairs: list[dict[str, object]] = []
    for name, train, test in given.fixed:
        fitted_to, judged = (load(Path(part), given.base) for part in (train, test))
        rows += [_say({"data": name, **row}) for row in whole(fitted_to, judged)]
        pairs += [_say({"data": name, **row}) for row in of_pairs(fitted_to, judged)]
    for name, folder in given.split:
        data = load(Path(folder), given.base)
        kept = [place for place, one in enumerate(data.classes) if one not in given.leave_out]
        rows += [_say({"data": name, **row}) for row in splits(data.of_classes(tuple(kept)))]
    if given.no_write:
        return
    path = results.write("teach-accuracy", {"base": given.base, "whole": rows, "pairs": pairs})
    plots.plot_accuracy(rows, pairs, path.with_suffix(".png"))
    print(f"written to {path}")


def whole(train: Labelled, test: Labelled) -> list[dict[str, object]]:
    """Return the accuracy of each kind of head, fitted to all photos of a split."""
    return [{"head": kind, **_facts([_judged(train, test, kind)])} for kind in KINDS]


def splits(data: Labelled) -> list[dict[str, object]]:
    """Return the mean accuracy of each kind of head over random splits."""
    parts = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(data.labels_N))
        test, train = np.split(order, [round(TEST_SHARE * len(order))])
        parts.append((data.at(train), data.at(test)))
    return [{"head": kind, **_facts([_judged(*part, kind) for part in parts])} for kind in KINDS]


def of_pairs(train: Labelled, test: Labelled) -> list[dict[str, object]]:
    """Return the mean accuracy over all pairs of classes from some photos of each."""
    rows: list[dict[str, object]] = []
    for photos in OF_PAIRS:
        found = []
        for pair in combinations(range(len(train.classes)), 2):
            for seed in range(DRAWS):
                rng = np.random.default_rng((seed, *pair))
                drawn = _drawn(train.of_classes(pair), photos, rng)
                found.append(_judged(drawn, test.of_classes(pair), "best"))
        rows.append({"photos of a class": photos, **_facts(found)})
    return rows


def _drawn(data: Labelled, photos: int, rng: np.random.Generator) -> Labelled:
    own = [np.flatnonzero(data.labels_N == label) for label in range(len(data.classes))]
    return data.at(np.concatenate([rng.permutation(rows)[:photos] for rows in own]))


def _judged(train: Labelled, test: Labelled, kind: HeadChoice) -> tuple[float, float, Fitted]:
    """Return accuracy on the test photos, that of held-out answers, and the fit."""
    targets = Targets.of_labels(train.labels_N, len(train.classes))
    groups_N: NDArray[np.int_] = np.arange(len(targets))
    fitted = fit(train.features_NVD, targets, groups_N, options=FitOptions(kind=kind))
    answers_M = fitted.head.logits(test.features_NVD[:, 0]).argmax(axis=1)
    held_N = fitted.held_out_NK.argmax(axis=1)
    return (
        float((answers_M == test.labels_N).mean()),
        float((held_N == train.labels_N).mean()),
        fitted,
    )


def _facts(found: list[tuple[float, float, Fitted]]) -> dict[str, object]:
    return {
        "accuracy": float(np.mean([accuracy for accuracy, _, _ in found])),
        "each": [accuracy for accuracy, _, _ in found],
        "held out": float(np.mean([held for _, held, _ in found])),
        "kernels": sum(fitted.head.kernel is not None for _, _, fitted in found),
        "strengths": [fitted.strength for _, _, fitted in found],
    }


def _say(row: dict[str, object]) -> dict[str, object]:
    print({name: value for name, value in row.items() if name not in {"each", "strengths"}})
    return row


if __name__ == "__main__":
    main()
