"""Golden samples of a taught version: a few photos of each class, with NumPy's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.models import GoldenPrediction, GoldenSample
from service.core.imaging.postprocessing import top_k
from service.teach.grafting.graft import Graft

MOST = 12
"""Golden photos of a version at most."""
LEAST_SURE = 0.8
MAX_BYTES = 2**20
"""Larger photos are taken only where a class has no smaller one."""
TOLERANCE = 0.02
_PREDICTIONS = 3
_ROUNDING = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled photo. ``place``: of its row in the features; ``label``: of its first class."""

    place: int
    label: int
    bytes: int


def scores_of(graft: Graft, features_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the scores that the server gives, [N, K] or [N, K + 1]: after the softmax, if any."""
    output_NK = graft(features_ND)
    if graft.head.kind == "sigmoid":
        return output_NK
    scaled_NK = output_NK / graft.temperature
    shares_NK = np.exp(scaled_NK - scaled_NK.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = shares_NK / shares_NK.sum(axis=1, keepdims=True)
    return found


def choose(candidates: Sequence[Candidate], scores_NK: NDArray[np.float64]) -> list[Candidate]:
    """Choose right photos of each class, class after class: the surest, and the least sure.

    The score of the surest hardly moves on another processor; that of the other one shows small
    faults. Below ``LEAST_SURE`` it would move too much.
    """
    by_class: dict[int, list[Candidate]] = {}
    for one in candidates:
        by_class.setdefault(one.label, []).append(one)
    surest: list[Candidate] = []
    others: list[Candidate] = []
    for _, some in sorted(by_class.items()):
        ordered = sorted(some, key=lambda one: -scores_NK[one.place, one.label])
        small = [one for one in ordered if one.bytes <= MAX_BYTES]
        surest.append((small or ordered)[0])
        sure = [one for one in small[1:] if scores_NK[one.place, one.label] >= LEAST_SURE]
        others += sure[-1:]
    return [*surest, *others][:MOST]


def sample(file: str, scores_K: NDArray[np.float64]) -> GoldenSample:
    """Return the sample of a photo."""
    predictions = tuple(
        GoldenPrediction(index=int(index), score=min(1.0, round(float(scores_K[index]), _ROUNDING)))
        for index in top_k(scores_K, _PREDICTIONS)
    )
    return GoldenSample(file=file, predictions=predictions, tolerance=TOLERANCE)
