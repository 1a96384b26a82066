"""Groups: photos that are not independent, and how many independent ones they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_GROUPS = 5.0
"""Groups of several photos with an error that weigh as much as the prior: errors of a group are
one error. Photos of a burst are nearly alike, so data must show that they are not."""


@dataclass(frozen=True, slots=True)
class Worth:
    """How much the photos of some groups say about a share.

    Attributes:
        photos: counted.
        groups: that these photos belong to.
        effective: independent photos that say as much, groups..photos.
        design_effect: photos / effective, at least 1 (Kish).
        correlation: of the outcomes of two photos in one group, 0..1.
    """

    photos: int
    groups: int
    effective: float
    design_effect: float
    correlation: float


def worth_of(right_N: NDArray[np.bool_], groups_N: NDArray[np.int_]) -> Worth:
    """Estimate how many independent photos these are worth.

    The design effect of clusters of unequal size is 1 + (m - 1) r, with m the mean size of a
    photo's group and r the correlation of outcomes within a group (Kish 1965). r is the estimate
    by analysis of variance (Fleiss, "Statistical Methods for Rates and Proportions"), drawn
    towards 1 by ``PRIOR_GROUPS``: bursts are small in number, and of few errors nothing is known.

    Args:
        right_N: the outcome of each photo.
        groups_N: the group of each photo, any integers.
    """
    photos = len(right_N)
    if not photos:
        return Worth(0, 0, 0.0, 1.0, 0.0)
    group_N, sizes_G = _sizes(groups_N)
    groups = len(sizes_G)
    mean_size = float(np.square(sizes_G).sum() / photos)
    if groups == photos:
        return Worth(photos, groups, float(photos), 1.0, 0.0)
    rights_G = np.bincount(group_N, weights=right_N, minlength=groups).astype(np.float64)
    several_G = sizes_G > 1
    mixed = float((several_G & (rights_G < sizes_G)).sum())
    measured = _correlation(rights_G, sizes_G)
    correlation = (mixed * measured + PRIOR_GROUPS) / (mixed + PRIOR_GROUPS)
    effect = 1 + (mean_size - 1) * correlation
    return Worth(photos, groups, photos / effect, effect, correlation)


def _sizes(groups_N: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    _, group_N, sizes_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    return group_N.reshape(-1), sizes_G.astype(np.float64)


def _correlation(rights_G: NDArray[np.float64], sizes_G: NDArray[np.float64]) -> float:
    """Return the intraclass correlation by analysis of variance, 0..1; 1 if it is undefined."""
    photos, groups = float(sizes_G.sum()), len(sizes_G)
    share = float(rights_G.sum() / photos)
    if groups < 2 or share in {0.0, 1.0}:
        return 1.0
    shares_G = rights_G / sizes_G
    between = float((sizes_G * np.square(shares_G - share)).sum()) / (groups - 1)
    within = float((sizes_G * shares_G * (1 - shares_G)).sum()) / (photos - groups)
    typical = (photos - float(np.square(sizes_G).sum()) / photos) / (groups - 1)
    below = between + (typical - 1) * within
    return float(np.clip((between - within) / below, 0.0, 1.0)) if below > 0 else 1.0
