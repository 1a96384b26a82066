"""``python -m benchmarks.federation``: heads of several sites beside that of all their photos."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.federation.exchange import accuracy, exchange
from benchmarks.federation.rounds import fedavg
from benchmarks.federation.spreading import WAYS, spread
from benchmarks.support import results
from benchmarks.teach.labelled import Labelled, load
from service.federation.arithmetic.harm import total
from service.federation.arithmetic.solving import Solved, solve
from service.teach.heads.ridge import Ridge, Rows
from service.teach.heads.targets import Targets

SITES = (2, 4, 8)
SEEDS = (0, 1, 2)
FAULTS = ("swapped labels", "shuffled labels", "noise in place of features")


def main() -> None:
    """Measure; print rows and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federation", description=__doc__)
    parser.add_argument("name", help="of the set, for the results")
    parser.add_argument("train", type=Path, help="folder of class folders, or a tar file of them")
    parser.add_argument("test", type=Path)
    parser.add_argument("--base", default="imagenet", help="built-in model that gives features")
    parser.add_argument("--cache", type=Path, help="folder for features")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    given = parser.parse_args()
    train, test = (
        load(path, given.base, given.cache and given.cache / f"{given.name}-{part}.npz")
        for part, path in (("train", given.train), ("test", given.test))
    )
    facts: dict[str, object] = {
        "data": given.name,
        "base": given.base,
        "photos": len(train.labels_N),
        "test photos": len(test.labels_N),
        "features": train.features_NVD.shape[2],
        "exchange": [_say(row) for row in splits(train, test)],
        "bad site": [_say(row) for row in bad_sites(train, test)],
        "forgotten": _say(forgotten(train)),
        "fedavg": [_say(row) for row in rounds(train, test)],
    }
    if not given.no_write:
        print(f"written to {results.write('federation', facts)}")


def splits(train: Labelled, test: Labelled) -> list[dict[str, object]]:
    """Return federated and central accuracy for numbers of sites and ways of spreading."""
    found: list[dict[str, object]] = []
    for how in WAYS:
        for sites in SITES:
            for seed in SEEDS if how != "one class" else SEEDS[:1]:
                done = exchange(train, spread(train.labels_N, sites, how, seed))
                central = _central(train, done.solved.strength)
                row: dict[str, object] = {
                    "sites": sites,
                    "spread": how,
                    "seed": seed,
                    "federated": accuracy(done.solved, test),
                    "central": accuracy(central, test),
                    "largest difference of a weight": float(
                        np.abs(done.solved.weight_KD - central.weight_KD).max()
                    ),
                    "strength": done.solved.strength,
                    "named": done.harmful,
                    "changes": done.changes,
                    "bytes of the largest site": done.bytes,
                    "seconds of a site": done.site_seconds,
                    "seconds to check all": done.check_seconds,
                    "seconds to solve": done.solve_seconds,
                    "seconds to judge": done.judge_seconds,
                }
                found.append(row)
    return found


def bad_sites(train: Labelled, test: Labelled) -> list[dict[str, object]]:
    """Return what one bad site of five costs, and whether it is named."""
    found: list[dict[str, object]] = []
    for how in WAYS[:2]:
        for fault in FAULTS:
            for seed in SEEDS:
                rows = spread(train.labels_N, 5, how, seed)
                bad = int(np.argsort([len(own) for own in rows])[len(rows) // 2])
                spoilt = _spoilt(train, rows[bad], fault, seed)
                done = exchange(spoilt, rows)
                others = total([one for name, one in done.sites.items() if name != f"s{bad}"])
                good = exchange(train, rows)
                row: dict[str, object] = {
                    "spread": how,
                    "fault": fault,
                    "seed": seed,
                    "is named": f"s{bad}" in done.harmful,
                    "others named": len(set(done.harmful) - {f"s{bad}"}),
                    "changes": done.changes,
                    "all good": accuracy(good.solved, test),
                    "with it": accuracy(done.solved, test),
                    "without it": accuracy(solve(others), test),
                }
                found.append(row)
    return found


def forgotten(train: Labelled) -> dict[str, object]:
    """Return how a head after a subtraction differs from that of the other sites' photos."""
    rows = spread(train.labels_N, 4, "skewed", 0)
    done = exchange(train, rows)
    began = time.perf_counter()
    left = solve(total(list(done.sites.values())) - done.sites["s1"], done.solved.strength)
    seconds = time.perf_counter() - began
    kept = np.concatenate([own for place, own in enumerate(rows) if place != 1])
    again = _central(train.at(kept), done.solved.strength)
    return {
        "largest difference of a weight": float(np.abs(left.weight_KD - again.weight_KD).max()),
        "largest difference of a bias": float(np.abs(left.bias_K - again.bias_K).max()),
        "largest weight": float(np.abs(again.weight_KD).max()),
        "seconds": seconds,
    }


def rounds(train: Labelled, test: Labelled) -> list[dict[str, object]]:
    """Return what FedAvg gives by ways of spreading, plain and quantised, and for one site."""
    everything = [np.arange(len(train.labels_N))]
    found: list[dict[str, object]] = [{"spread": "one site", **fedavg(train, test, everything)}]
    for how in WAYS:
        rows = spread(train.labels_N, 4, how, 0)
        for is_quantised in (False, True):
            facts = fedavg(train, test, rows, is_quantised=is_quantised)
            found.append({"spread": how, "quantised": is_quantised, **facts})
    return found


def _central(train: Labelled, strength: float) -> Solved:
    """Return the ridge of all photos, from the photos themselves."""
    count = len(train.labels_N)
    numbers = Targets.of_labels(train.labels_N, len(train.classes)).numbers()
    x_ND = train.features_NVD[:, 0].astype(np.float64)
    ridge = Ridge(Rows(x_ND, numbers, np.ones(count), np.arange(count)))
    return Solved(*ridge.head(strength), strength)


def _spoilt(train: Labelled, rows: np.ndarray, fault: str, seed: int) -> Labelled:
    dice = np.random.default_rng(seed)
    labels_N, features_NVD = train.labels_N.copy(), train.features_NVD
    if fault == "swapped labels":
        labels_N[rows] = (labels_N[rows] + 1) % len(train.classes)
    elif fault == "shuffled labels":
        labels_N[rows] = dice.permutation(labels_N[rows])
    else:
        features_NVD = features_NVD.copy()
        shape = features_NVD[rows].shape
        features_NVD[rows] = dice.normal(size=shape) * features_NVD.std() + features_NVD.mean()
    return replace(train, features_NVD=features_NVD, labels_N=labels_N)


def _say(row: dict[str, object]) -> dict[str, object]:
    hidden = {"changes", "accuracy after every 5 rounds"}
    shown = {name: value for name, value in row.items() if name not in hidden}
    print({name: round(one, 5) if isinstance(one, float) else one for name, one in shown.items()})
    return row


if __name__ == "__main__":
    main()
