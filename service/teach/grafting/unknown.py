"""The Mahalanobis distance to the nearest class as few matrices, for a graph in float32.

The precision matrix P is the same number ``a`` in all directions but a few: a I - B B'. So the
squared distance of the features x, of length 1, to the mean of class k is

    a |x|^2 - |B' x|^2 + x . L_k + c_k,    L_k = -2 P m_k,    c_k = m_k . P m_k

which needs no matrix of D x D numbers where photos are few. Features are taken relative to a
centre, since float32 would lose the difference of two large squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.teach.heads.arrays import Features, Numbers, of_length_one
from service.teach.heads.distance import Distance

STEEPNESS = 20.0
"""The odds of 'unknown' are e^z, z = STEEPNESS * (distance / threshold - 1): 1 at the threshold,
1 : 7 at nine tenths of it, 7 : 1 at eleven tenths."""
MOST = 30.0
"""Limit of z in both directions."""


@dataclass(frozen=True, slots=True, eq=False)
class UnknownScore:
    """What says how unlike the photos shown a photo is.

    Attributes:
        centre_D: subtracted from the features, once they have the length 1.
        level: ``a``, above 0.
        directions_DR: ``B``.
        linear_KD: ``L``, of the K classes that have photos.
        constant_K: ``c``.
        threshold: the distance at which 'unknown' is as likely as all classes together.
    """

    centre_D: Numbers
    level: float
    directions_DR: Numbers
    linear_KD: Numbers
    constant_K: Numbers
    threshold: float

    @classmethod
    def of(cls, distance: Distance) -> UnknownScore | None:
        """Return the score for a distance; None if it says nothing: too few photos."""
        means_KD = distance.mean_KD[np.isfinite(distance.mean_KD).all(axis=1)]
        threshold = float(distance.threshold)
        if not len(means_KD) or not np.isfinite(threshold) or threshold <= 0:
            return None
        centre_D = means_KD.mean(axis=0)
        level, directions_DR = distance.level, distance.directions_DR
        means_KD = means_KD - centre_D
        mapped_KD = level * means_KD - (means_KD @ directions_DR) @ directions_DR.T
        return cls(
            centre_D=centre_D,
            level=level,
            directions_DR=directions_DR,
            linear_KD=-2 * mapped_KD,
            constant_K=np.einsum("kd,kd->k", means_KD, mapped_KD),
            threshold=threshold,
        )

    def __call__(self, features_ND: Features) -> Numbers:
        """Return z of each photo, [N]: the log odds of 'unknown'; computed in float64."""
        x_ND = of_length_one(features_ND) - self.centre_D
        squares_N = self.level * np.sum(x_ND**2, axis=1)
        squares_N -= np.sum((x_ND @ self.directions_DR) ** 2, axis=1)
        classes_NK = x_ND @ self.linear_KD.T + self.constant_K
        distance_N = np.sqrt(np.maximum(squares_N + classes_NK.min(axis=1), 0))
        return self._odds(distance_N)

    def share(self, distance_N: Numbers) -> Numbers:
        """Return the probability of 'unknown' at distances, 0..1."""
        share_N: Numbers = 1 / (1 + np.exp(-self._odds(distance_N)))
        return share_N

    def _odds(self, distance_N: Numbers) -> Numbers:
        z_N: Numbers = np.clip(STEEPNESS * (distance_N / self.threshold - 1), -MOST, MOST)
        return z_N
