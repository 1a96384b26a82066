"""How far a photo is from everything shown: the Mahalanobis distance to the nearest class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.teach.heads.head import Features, Numbers
from service.teach.heads.sums import Sums

SHRINKAGE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Distance:
    """Class means and a shared covariance.

    Attributes:
        mean_KD: float64 [K, D]; NaN for labels without photos.
        whitening_DD: float64 [D, D]: distances are Euclidean after a multiplication by it.
        threshold: distances above it are unlike 95 % of the photos shown.
    """

    mean_KD: Numbers
    whitening_DD: Numbers
    threshold: float = np.inf

    def __call__(self, features_ND: Features) -> Numbers:
        """Return the distance of each photo to the nearest class mean, float64 [N], at least 0."""
        white_ND = np.asarray(features_ND, np.float64) @ self.whitening_DD
        mean_KD = self.mean_KD @ self.whitening_DD
        squares = (
            np.sum(white_ND**2, axis=1)[:, np.newaxis]
            - 2 * white_ND @ mean_KD.T
            + np.sum(mean_KD**2, axis=1)
        )
        return np.sqrt(np.maximum(np.nanmin(squares, axis=1), 0))


def distance_of(sums: Sums) -> Distance:
    """Return the distance whose means and covariance the sums determine."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_KD = sums.xy_KD / sums.counts_K[:, np.newaxis]
    known = sums.counts_K > 0
    within = sums.xx_DD - sums.xy_KD[known].T @ mean_KD[known]
    covariance = within / max(sums.photos - np.count_nonzero(known), 1)
    scale = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(shrunk)
    return Distance(mean_KD, vectors / np.sqrt(np.maximum(values, 1e-9 * scale)))
