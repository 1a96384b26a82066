"""Sums over photos that determine a ridge head: additive, subtractable, small.

The sums of two sites added are the sums of all their photos, so the head is the one that all
photos together give, however they are spread ("Fed3R", ICML 2024, arXiv 2406.01116). A photo is
forgotten by subtracting its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.teach.heads.arrays import Features, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over photos, float64. Features count once for each photo: views are averaged.

    Attributes:
        photos: number of photos.
        counts_K: photos with each label.
        x_D: sum of features.
        xx_DD: sum of the outer products of features.
        xy_KD: sum of the features of the photos with each label.
    """

    photos: float
    counts_K: Numbers
    x_D: Numbers
    xx_DD: Numbers
    xy_KD: Numbers

    @classmethod
    def of(cls, features_NVD: Features, present_NK: np.typing.NDArray[np.bool_]) -> Sums:
        """Sum over N photos of V views each; a view counts 1 / V."""
        count, views, width = features_NVD.shape
        x_D = np.zeros(width)
        xx_DD = np.zeros((width, width))
        y_NK = present_NK.astype(np.float64)
        xy_KD = np.zeros((y_NK.shape[1], width))
        for view in range(views):
            x_ND = np.asarray(features_NVD[:, view], np.float64)
            x_D += x_ND.sum(axis=0)
            xx_DD += x_ND.T @ x_ND
            xy_KD += y_NK.T @ x_ND
        share = 1 / max(views, 1)
        return cls(float(count), y_NK.sum(axis=0), x_D * share, xx_DD * share, xy_KD * share)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.photos + other.photos,
            self.counts_K + other.counts_K,
            self.x_D + other.x_D,
            self.xx_DD + other.xx_DD,
            self.xy_KD + other.xy_KD,
        )

    def __sub__(self, other: Sums) -> Sums:
        return Sums(
            self.photos - other.photos,
            self.counts_K - other.counts_K,
            self.x_D - other.x_D,
            self.xx_DD - other.xx_DD,
            self.xy_KD - other.xy_KD,
        )
