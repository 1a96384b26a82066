"""Compares scores for telling photos of known things from all others.

Each is measured by the area under its ROC curve: the chance that a photo of the known set scores
higher than a picture of the other one. 0.5 is guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import probabilities
from service.modeltools.imagenet.building import OUTPUT_SPEC
from service.modeltools.imagenet.network import CLASSES, ExtraClasses
from service.modeltools.measuring.best_answers import best_answers
from tools.imagenet.features import Features

Doubles = NDArray[np.float64]
Score = Callable[[Features], Doubles]
DIRECTIONS = 256
"""Principal directions with a variance of their own; the rest share their mean variance."""


def compare_scores(
    known: Features,
    others: Mapping[str, Features],
    ordinary: Features,
    extra: ExtraClasses,
    hedger: Hedger,
) -> dict[str, dict[str, float]]:
    """Return the area under the ROC curve by score and by set.

    Args:
        known: photos of known things.
        others: sets of other pictures.
        ordinary: photos that give the covariance of ordinary features.
    """
    scores = _scores(ordinary, extra, hedger)
    return {
        name: {other: auroc(score(found), score(known)) for other, found in others.items()}
        for name, score in scores.items()
    }


def auroc(low_N: Doubles, high_M: Doubles) -> float:
    """Return the chance that one of ``high_M`` exceeds one of ``low_N``, 0..1 (Mann, Whitney)."""
    both = np.concatenate([low_N, high_M])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    above = ranks[len(low_N) :].sum() - len(high_M) * (len(high_M) + 1) / 2
    return float(above / (len(low_N) * len(high_M)))


def _scores(ordinary: Features, extra: ExtraClasses, hedger: Hedger) -> dict[str, Score]:
    mean_F = ordinary.features_NF.mean(axis=0).astype(np.float64)
    centred = ordinary.features_NF - mean_F
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    variance = lengths**2 / len(centred)
    rest = float(variance[DIRECTIONS:].mean())
    variance[DIRECTIONS:] = rest

    def mahalanobis(found: Features) -> Doubles:
        along = (found.features_NF - mean_F) @ directions.T
        distance: Doubles = (along.astype(np.float64) ** 2 / variance).sum(axis=1)
        return -distance

    def with_extra(found: Features) -> Doubles:
        shares = probabilities(found.outputs(extra), OUTPUT_SPEC, 1.0)
        return 1 - shares[:, CLASSES].astype(np.float64)

    def named(level: int) -> Score:
        def largest(found: Features) -> Doubles:
            shares = probabilities(found.outputs(extra), OUTPUT_SPEC, 1.0)
            return best_answers(shares, hedger).scores_NL[:, level]

        return largest

    return {
        "largest softmax": lambda found: _softmax(found).max(axis=1),
        "largest logit": lambda found: found.logits_NK.max(axis=1).astype(np.float64),
        "energy (Liu et al., 2020)": lambda found: _energy(found.logits_NK),
        "Mahalanobis distance of features": mahalanobis,
        "the class for nothing": with_extra,
        "largest named label, with the new classes": named(0),
        "largest named group, with the new classes": named(1),
        "largest named wide group, with the new classes": named(2),
    }


def _softmax(found: Features) -> Doubles:
    return probabilities(found.logits_NK, OUTPUT_SPEC, 1.0).astype(np.float64)


def _energy(logits_NK: NDArray[np.float32]) -> Doubles:
    logits = logits_NK.astype(np.float64)
    largest_N = logits.max(axis=1)
    energy: Doubles = largest_N + np.log(np.exp(logits - largest_N[:, None]).sum(axis=1))
    return energy
