"""Intervals of shares that were measured on held-out photos."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import Interval
from service.teach.verdict.groups import worth_of
from service.teach.verdict.student import t_quantile

LEVEL = 0.95

HEAD_VARIATION = 1.5
"""Variance of (held-out accuracy - accuracy of the head on all other photos), in units of the
binomial's. Above 1, because the accuracy of a head varies with the photos that it was fitted to,
and because held-out answers share nearly all of theirs. Measured on three data sets and their pairs
of classes, 20 to 200 photos: 1.2 to 1.5 drawn at random; 1.5 to 2.0 drawn evenly from the classes,
where the excess is the bias that ``lacking`` allows for. See ``benchmarks.teach.verdict``."""


def accuracy_interval(
    right_N: NDArray[np.bool_],
    groups_N: NDArray[np.int_],
    lacking: float = 0.0,
    level: float = LEVEL,
) -> Interval | None:
    """Return the range of the accuracy on other photos; nothing if there is only one group.

    It is the interval of Wilson (1927), in four ways less sure than the textbook's:

    - the photos count as the independent ones that they are worth (``groups.worth_of``);
    - that number is divided by ``HEAD_VARIATION``;
    - the quantile is Student's with as many degrees of freedom as groups less one: with three
      bursts the spread between bursts is hardly known;
    - the upper end allows for what the held-out heads lacked. The head for a group has not seen
      that group's part of its class, so errors are up to ``lacking`` too many: a
      leave-one-out accuracy of 33 % was 44 % on other photos (17 classes, five photos each).

    Finite numbers of other photos add their own chance: the range is of the accuracy on many.

    Args:
        right_N: whether each held-out photo was answered right.
        groups_N: the group of each.
        lacking: mean share of its class that a photo's head did not see, 0..1.
        level: confidence, 0..1.
    """
    worth = worth_of(right_N, groups_N)
    if worth.groups < 2:
        return None
    count = worth.effective / HEAD_VARIATION
    quantile = t_quantile((1 + level) / 2, worth.groups - 1)
    share = float(np.mean(right_N))
    low = wilson(share, count, quantile, level).low
    high = wilson(1 - (1 - share) * (1 - lacking), count, quantile, level).high
    return Interval(low=low, high=high, level=level)


def share_interval(share: float, effective: float, level: float = LEVEL) -> Interval:
    """Return Wilson's interval of a share that is known from ``effective`` independent photos."""
    return wilson(share, max(effective, 1.0), NormalDist().inv_cdf((1 + level) / 2), level)


def wilson(share: float, count: float, quantile: float, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval.

    Args:
        share: measured, 0..1.
        count: of independent observations, above 0.
        quantile: of the standard normal or Student's distribution, two-sided.
        level: the confidence that belongs to the quantile.
    """
    square = quantile * quantile
    centre = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    half = quantile * spread / (1 + square / count)
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), level=level)
