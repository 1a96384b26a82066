"""The reference of drift of a taught version: held-out answers for its photos."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from schemas.drift import EDGES, DriftReference, Quantity
from service.teach.grafting.unknown import UnknownScore
from service.teach.heads.arrays import Numbers
from service.teach.heads.fitting import Fitted
from service.teach.verdict.held_out import sigmoid, softmax


def reference_of(fitted: Fitted, abstain_below: float) -> DriftReference | None:
    """Return how the answers for photos like those shown are spread.

    Photos count by heads and distances that did not see their groups: those that did would look
    surer than any later photo.

    Args:
        abstain_below: the score below which the version is not sure.

    Returns:
        None if no photo can be judged.
    """
    distance, kind = fitted.distance, fitted.head.kind
    scaled_NK = np.asarray(fitted.held_out_NK, np.float64) / fitted.temperature
    scores_NK = softmax(scaled_NK) if kind == "softmax" else sigmoid(scaled_NK)
    judged_N = np.isfinite(scaled_NK).all(axis=1)
    unknown_N: Numbers | None = None
    score = UnknownScore.of(distance)
    if score is not None:
        judged_N &= np.isfinite(distance.held_out_N)
        unknown_N = score.share(np.nan_to_num(distance.held_out_N))
        scores_NK = scores_NK * (1 - unknown_N)[:, np.newaxis]
    if not judged_N.any():
        return None
    top_N = scores_NK.max(axis=1)
    values = {
        Quantity.SCORE: top_N[judged_N],
        Quantity.ABSTAINED: (top_N < abstain_below)[judged_N].astype(np.float64),
    }
    if unknown_N is not None and kind == "softmax":
        values[Quantity.UNKNOWN] = unknown_N[judged_N]
    return DriftReference(
        source="training",
        answers=int(judged_N.sum()),
        counts={quantity: _counts(quantity, found_M) for quantity, found_M in values.items()},
    )


def _counts(quantity: Quantity, values_M: Numbers) -> tuple[int, ...]:
    edges = EDGES[quantity]
    counts = [0] * (len(edges) + 1)
    for value in values_M:
        counts[bisect_left(edges, float(value))] += 1
    return tuple(counts)
