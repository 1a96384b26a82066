"""The likeliest name of every level for many images, and whether it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.imaging.hedging import NEVER, Hedger
from service.modeltools.measuring.truth import Truth

ABSTAINED = -1


@dataclass(frozen=True, slots=True)
class BestAnswers:
    """Possible answers for N images on L levels: level 0 is the labels, the others are groups.

    Attributes:
        names: for each image, the likeliest name of each level.
        heights_NL: actual levels of the names above the labels, int [N, L].
        scores_NL: probabilities of the names, float64 [N, L], 0..1.
    """

    names: list[tuple[str, ...]]
    heights_NL: NDArray[np.intp]
    scores_NL: NDArray[np.float64]

    def right(self, truths: Sequence[Truth]) -> NDArray[np.bool_]:
        """Return whether each name is right, bool [N, L]."""
        right = [
            [name in truth.right for name in names]
            for names, truth in zip(self.names, truths, strict=True)
        ]
        return np.array(right, np.bool_).reshape(self.scores_NL.shape)

    def levels(self, thresholds: Sequence[float]) -> NDArray[np.intp]:
        """Return the level of each answer, the first to reach its threshold, or ``ABSTAINED``."""
        limits_L = np.asarray(thresholds, np.float64)
        reached_NL = (self.scores_NL >= limits_L) & (limits_L < NEVER)
        levels_N: NDArray[np.intp] = reached_NL.argmax(axis=1)
        levels_N[~reached_NL.any(axis=1)] = ABSTAINED
        return levels_N


def best_answers(shares_NK: NDArray[np.floating], hedger: Hedger) -> BestAnswers:
    """Collect the hedger's names for each image.

    Args:
        shares_NK: calibrated probabilities of the labels, [N, K], 0..1.
    """
    names, heights, scores = [], [], []
    for shares_K in shares_NK:
        found = list(hedger.best(shares_K))
        names.append(tuple(name for name, _, _ in found))
        heights.append([height for _, height, _ in found])
        scores.append([score for _, _, score in found])
    shape = (len(names), len(hedger.thresholds))
    return BestAnswers(
        names,
        np.array(heights, np.intp).reshape(shape),
        np.array(scores, np.float64).reshape(shape),
    )
