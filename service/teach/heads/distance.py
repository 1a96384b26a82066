"""How far a photo is from everything shown: the Mahalanobis distance to the nearest class.

Features are divided by their length: of pictures of other things, 1 to 5 % are within the distance
of 95 % of photos like those shown (ten or twenty of each of two classes), and 56 to 67 % without.
The covariance is shared by the classes and shrunk towards one variance for all directions. So its
inverse is that of one variance, less a few directions: as many as there are photos, at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.arrays import Features, Numbers, of_length_one

SHRINKAGE = 0.1
KNOWN = 0.95
"""Share of photos like those shown that the threshold lets pass."""
LEAST_VARIANCE = 1e-6
"""Of features of length 1, the sum over them: equal photos do not make all others foreign."""
_FOLDS, _FOLDS_OF_MANY, _MANY = 5, 2, 500
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Distance:
    """Class means and a shared precision matrix, ``level`` I - ``directions`` ``directions``'.

    Attributes:
        mean_KD: float64 [K, D], of features of length 1; NaN for labels without photos.
        level: above 0.
        directions_DR: float64 [D, R].
        threshold: distances above it are unlike 95 % of the photos shown; infinite: not known.
        held_out_N: of the photos shown, by those of other groups; NaN: not judged.
    """

    mean_KD: Numbers
    level: float
    directions_DR: Numbers
    threshold: float = np.inf
    held_out_N: Numbers = field(default_factory=lambda: np.empty(0))

    def __call__(self, features_ND: Features) -> Numbers:
        """Return the distance of each photo to the nearest class mean, float64 [N], at least 0."""
        means_KD = self.mean_KD[np.isfinite(self.mean_KD).all(axis=1)]
        x_ND = of_length_one(features_ND)
        if not len(means_KD):
            return np.full(len(x_ND), np.inf)
        nearest_N = np.full(len(x_ND), np.inf)
        for mean_D in means_KD:
            away_ND = x_ND - mean_D
            squares_N = self.level * np.einsum("nd,nd->n", away_ND, away_ND)
            squares_N -= np.sum((away_ND @ self.directions_DR) ** 2, axis=1)
            nearest_N = np.minimum(nearest_N, squares_N)
        found_N: Numbers = np.sqrt(np.maximum(nearest_N, 0))
        return found_N


def fit_distance(
    features_ND: Features, present_NK: NDArray[np.bool_], groups_N: NDArray[np.integer]
) -> Distance:
    """Return the distance of N photos, with a threshold from photos that were held out by groups.

    Args:
        features_ND: float [N, D].
        present_NK: which photo has which label.
        groups_N: photos with the same number are held out together.
    """
    x_ND = of_length_one(features_ND)
    distance = _distance(x_ND, present_NK)
    _, numbers_N = np.unique(groups_N, return_inverse=True)
    folds_N = numbers_N.reshape(-1) % (_FOLDS if len(x_ND) <= _MANY else _FOLDS_OF_MANY)
    held_out_N = np.full(len(x_ND), np.nan)
    for fold in np.unique(folds_N):
        own = folds_N == fold
        if own.all():
            return distance
        other = _distance(x_ND[~own], present_NK[~own])
        # A photo whose classes the others do not show says nothing.
        fair = own & (present_NK & present_NK[~own].any(axis=0)).any(axis=1)
        held_out_N[fair] = other(x_ND[fair])
    found_N = np.sort(held_out_N[np.isfinite(held_out_N)])
    if not len(found_N):
        return distance
    # The next photo is below it with the probability wanted (conformal prediction).
    place = min(int(np.ceil(KNOWN * (len(found_N) + 1))), len(found_N)) - 1
    return replace(distance, threshold=float(found_N[place]), held_out_N=held_out_N)


def _distance(x_ND: Numbers, present_NK: NDArray[np.bool_]) -> Distance:
    counts_K = present_NK.sum(axis=0)
    mean_KD = np.full((present_NK.shape[1], x_ND.shape[1]), np.nan)
    for label in np.flatnonzero(counts_K):
        mean_KD[label] = x_ND[present_NK[:, label]].mean(axis=0)
    # Of several labels, each counts alike; a photo without any is compared with all others.
    weights_NK = present_NK / np.maximum(present_NK.sum(axis=1, keepdims=True), 1)
    own_ND = weights_NK @ np.nan_to_num(mean_KD)
    has_label = present_NK.any(axis=1)
    rest_ND = x_ND[has_label] - own_ND[has_label]
    degrees = max(len(rest_ND) - int(np.count_nonzero(counts_K)), 1)
    values_R, vectors_DR = _directions(rest_ND, degrees)
    width = x_ND.shape[1]
    variance = max(float(np.sum(rest_ND**2)) / degrees, LEAST_VARIANCE) / width
    least = SHRINKAGE * variance
    spread_R = (1 - SHRINKAGE) * values_R + least
    kept_R = 1 - least / spread_R > _NEGLIGIBLE
    scales_R = np.sqrt(1 / least - 1 / spread_R[kept_R])
    return Distance(mean_KD, 1 / least, vectors_DR[:, kept_R] * scales_R)


def _directions(rest_ND: Numbers, degrees: int) -> tuple[Numbers, Numbers]:
    """Return variances [R] and directions [D, R] of the rows; by the smaller of two matrices."""
    photos, width = rest_ND.shape
    if photos >= width:
        values_D, vectors_DD = np.linalg.eigh(rest_ND.T @ rest_ND / degrees)
        return np.maximum(values_D, 0), vectors_DD
    values_N, vectors_NN = np.linalg.eigh(rest_ND @ rest_ND.T / degrees)
    kept_N = values_N > values_N.max(initial=0) * 1e-10
    values_R = values_N[kept_N]
    vectors_DR = rest_ND.T @ vectors_NN[:, kept_N] / np.sqrt(values_R * degrees)
    return values_R, vectors_DR
