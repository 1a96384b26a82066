"""How many flipped labels are among the first suspects."""

from __future__ import annotations

import numpy as np

from benchmarks.teach.labelled import Labelled
from service.teach.heads.fitting import FitOptions, Targets, fit
from service.teach.verdict.held_out import HeldOut, held_out_answers
from service.teach.verdict.suspects import contradiction

SIZES = (100, 200, 400, 1000)
FLIPPED = 0.05
FIRST = 0.1


def measure(data: Labelled, seeds: int, options: FitOptions) -> list[dict[str, object]]:
    """Flip 5 % of the labels to any other class; count those in the first 10 % of suspects."""
    rows: list[dict[str, object]] = []
    for size in (*SIZES, len(data.labels_N)):
        if size > len(data.labels_N):
            continue
        found = [_found(data, size, np.random.default_rng(seed), options) for seed in range(seeds)]
        row: dict[str, object] = {"labels": size, "found": float(np.mean(found)), "seeds": found}
        print(row)
        rows.append(row)
    return rows


def _found(data: Labelled, size: int, rng: np.random.Generator, options: FitOptions) -> float:
    taken = rng.permutation(len(data.labels_N))[:size]
    labels_N = data.labels_N[taken].copy()
    flipped = rng.permutation(size)[: round(FLIPPED * size)]
    classes = len(data.classes)
    labels_N[flipped] = (labels_N[flipped] + rng.integers(1, classes, len(flipped))) % classes
    targets = Targets.of_labels(labels_N, classes)
    fitted = fit(data.features_NVD[taken], targets, np.arange(size), options=options)
    held = held_out_answers(fitted, targets, np.arange(size))
    assert isinstance(held, HeldOut)
    first = np.argsort(-contradiction(held), kind="stable")[: round(FIRST * size)]
    return len(np.intersect1d(first, flipped)) / len(flipped)
