"""The ridge head of sums: the one that ``heads/ridge.py`` finds from the photos themselves.

The strength is chosen by generalised cross-validation (Golub, Heath and Wahba, 1979), which needs
sums alone, so that it is the same however the photos are spread over sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.teach.heads.arrays import Numbers
from service.teach.heads.fitting import STRENGTHS
from service.teach.heads.sums import Sums

_NEGLIGIBLE = 1e-10
_MOST_FREEDOM = 0.95
"""Strengths that leave less freedom than a twentieth of the photos are not chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Weights float64 [K, D] and bias [K] of a ridge, and its strength in units of ``scale``."""

    weight_KD: Numbers
    bias_K: Numbers
    strength: float


def solve(sums: Sums, strength: float | None = None) -> Solved:
    """Return the head of sums.

    Args:
        sums: of at least one photo.
        strength: above 0, as ``Ridge.head`` takes it; None: chosen from ``STRENGTHS``.
    """
    centred = Centred.of(sums)
    values_S, vectors_DS = np.linalg.eigh(centred.xx_DD)
    kept = values_S > max(values_S.max(initial=0) * _NEGLIGIBLE, np.finfo(np.float64).tiny)
    values_S, vectors_DS = values_S[kept], vectors_DS[:, kept]
    along_SK = vectors_DS.T @ centred.xy_DK
    scale = centred.scale
    if strength is None:
        errors = [_error(sums, values_S, along_SK, tried * scale) for tried in STRENGTHS]
        strength = STRENGTHS[int(np.argmin(errors))]
    weight_KD = (vectors_DS @ (along_SK / (values_S + strength * scale)[:, np.newaxis])).T
    return Solved(weight_KD, centred.mean_K - weight_KD @ centred.mean_D, strength)


def solve_fast(sums: Sums, strength: float) -> Solved:
    """Return the head of sums for a known strength, without a decomposition."""
    centred = Centred.of(sums)
    width = len(centred.mean_D)
    damped_DD = centred.xx_DD + max(strength * centred.scale, _NEGLIGIBLE) * np.eye(width)
    weight_KD = np.asarray(np.linalg.solve(damped_DD, centred.xy_DK).T, np.float64)
    return Solved(weight_KD, centred.mean_K - weight_KD @ centred.mean_D, strength)


def squared_errors(solved: Solved, sums: Sums) -> Numbers:
    """Return the sum over photos of the squared error of each label's answer, [K].

    The answers to be given are 1 for the label of a photo, and 0 for others; so the sum of their
    squares is the count of photos with the label.
    """
    weight_KD, bias_K = solved.weight_KD, solved.bias_K
    products_K = np.einsum("kd,kd->k", weight_KD @ sums.xx_DD, weight_KD)
    shifted_K = 2 * bias_K * (weight_KD @ sums.x_D) + sums.photos * bias_K**2
    wanted_K = np.einsum("kd,kd->k", weight_KD, sums.xy_KD) + bias_K * sums.counts_K
    errors_K: Numbers = products_K + shifted_K - 2 * wanted_K + sums.counts_K
    return np.maximum(errors_K, 0)


def projected(sums: Sums, vectors_DR: Numbers) -> Sums:
    """Return the sums of features projected onto directions, R in place of D features."""
    return Sums(
        sums.photos,
        sums.counts_K,
        sums.x_D @ vectors_DR,
        vectors_DR.T @ sums.xx_DD @ vectors_DR,
        sums.xy_KD @ vectors_DR,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Centred:
    """Sums of products of features and labels around their means.

    ``scale``: mean square of a photo's features, the unit of strengths.
    """

    mean_D: Numbers
    mean_K: Numbers
    xx_DD: Numbers
    xy_DK: Numbers
    scale: float

    @classmethod
    def of(cls, sums: Sums) -> Centred:
        """Centre sums of at least one photo."""
        mean_D, mean_K = sums.x_D / sums.photos, sums.counts_K / sums.photos
        xx_DD = sums.xx_DD - sums.photos * np.outer(mean_D, mean_D)
        xy_DK = sums.xy_KD.T - sums.photos * np.outer(mean_D, mean_K)
        scale = float(np.trace(xx_DD)) / max(sums.photos, 1.0)
        return cls(mean_D, mean_K, xx_DD, xy_DK, scale if scale > 0 else 1.0)


def _error(sums: Sums, values_S: Numbers, along_SK: Numbers, damping: float) -> float:
    """Return the generalised cross-validation error of a damping."""
    damped_S1 = (values_S + damping)[:, np.newaxis]
    spread_K = sums.counts_K * (1 - sums.counts_K / sums.photos)
    squares_SK = along_SK**2
    left_K = spread_K - np.sum(
        squares_SK * (2 / damped_S1 - values_S[:, np.newaxis] / damped_S1**2), axis=0
    )
    freedom = (1 + float(np.sum(values_S / (values_S + damping)))) / sums.photos
    if freedom > _MOST_FREEDOM:
        return np.inf
    return float(np.maximum(left_K, 0).sum()) / (1 - freedom) ** 2
