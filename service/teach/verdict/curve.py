"""The learning curve by refits on nested parts, and what twice the labels would likely bring."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import Accuracy, CurvePoint, Forecast

Refit = Callable[[NDArray[np.int_], NDArray[np.int_]], NDArray[np.bool_]]
"""Fits a head to the photos at the first indices; says which at the second it answers right."""

PARTS = (0.125, 0.25, 0.5)
"""Of the groups of each class."""
REPEATS = 6
LEAST_PHOTOS = 4
"""Mean photos of a class in a part. Errors of heads of fewer are near chance and off the law."""
MOST_PHOTOS = 6000
"""Photos in all refits together; larger sets are refitted less often."""
RANGE = (0.1, 0.5, 0.9)
"""Quantiles of the forecast: an 80 % range and the middle."""

_EXPONENTS = np.linspace(0.0, 1.2, 49)
_FLOORS = np.linspace(0.0, 0.3, 7)
_EXPONENT_PRIOR = (0.45, 0.15)
"""Mean and standard deviation. Errors of ridges on deep features fell by n^-0.2 to n^-0.5."""
_DRAW_VARIATION = 0.6
"""Standard deviation of the gain itself, in units of the binomial's of the accuracy now: the heads
vary with the photos that come. With it the 80 % range held 85 % of 426 gains in three data sets."""
_LEVELS = np.linspace(-2.5, 2.5, 21)


@dataclass(frozen=True, slots=True)
class Measured:
    """Error of heads that were fitted to a number of photos, with its standard deviation."""

    photos: float
    error: float
    deviation: float


def measure(
    refit: Refit,
    labels_N: NDArray[np.int_],
    groups_N: NDArray[np.int_],
    rng: np.random.Generator,
) -> list[Measured]:
    """Measure the error of heads fitted to parts of the photos. A group is never split.

    Parts are nested: in each repeat the groups of a class are shuffled once, and each part takes
    the first ones, at least one of each class.

    Args:
        labels_N: class of each photo; of several labels any one, to spread parts evenly.
        groups_N: group of each photo.
    """
    classes = len(np.unique(labels_N))
    ranks_N = [_ranks(labels_N, groups_N, rng) for _ in range(_repeats(len(labels_N)))]
    found: list[Measured] = []
    for part in PARTS:
        sizes: list[int] = []
        errors: list[float] = []
        for rank_N in ranks_N:
            inside_N = rank_N < part
            if inside_N.all() or len(np.unique(labels_N[inside_N])) < 2:
                continue
            if inside_N.sum() < LEAST_PHOTOS * classes:
                continue
            right_N = refit(np.flatnonzero(inside_N), np.flatnonzero(~inside_N))
            sizes.append(int(inside_N.sum()))
            errors.append(1 - float(right_N.mean()))
        if sizes and (not found or np.mean(sizes) > 1.2 * found[-1].photos):
            found.append(_measured(sizes, errors, len(labels_N)))
    return found


def whole(accuracy: Accuracy) -> Measured:
    """Return the last point: all photos, by their held-out answers."""
    error = 1 - (accuracy.value or 0.0)
    binomial = max(error * (1 - error), 1 / max(accuracy.photos, 1)) / max(accuracy.groups, 1)
    return Measured(float(accuracy.photos), error, math.sqrt(binomial))


def points(measured: list[Measured], accuracy: Accuracy) -> tuple[CurvePoint, ...]:
    """Return the curve; its last point is that of all photos, with their interval."""
    found = [
        CurvePoint(
            photos=round(one.photos),
            accuracy=1 - one.error,
            low=max(0.0, 1 - one.error - 2 * one.deviation),
            high=min(1.0, 1 - one.error + 2 * one.deviation),
        )
        for one in measured
        if one.photos < accuracy.photos
    ]
    if accuracy.interval is not None and accuracy.value is not None:
        found.append(
            CurvePoint(
                photos=accuracy.photos,
                accuracy=accuracy.value,
                low=accuracy.interval.low,
                high=accuracy.interval.high,
            )
        )
    return tuple(found)


def forecast(measured: list[Measured], photos: int) -> Forecast | None:
    """Forecast the gain of twice the photos; nothing with fewer than two points.

    The error follows a power law with a floor, floor + a n^-b (Hestness et al. 2017). The
    posterior over b, the floor and the level is summed on a grid; a few points say little about
    them, so b has a prior and the answer is a range. The range is of the gain that will be seen,
    which varies with the photos that come.

    Args:
        measured: errors at several numbers of photos, the last one of all of them.
        photos: labelled now.
    """
    if len(measured) < 2:
        return None
    last = measured[-1]
    error = max(last.error, 0.5 / max(photos, 1))
    levels_L = np.clip(error + _LEVELS * last.deviation, 1e-4, 1.0)
    exponents, floors, levels = np.meshgrid(_EXPONENTS, _FLOORS, levels_L, indexing="ij")
    mean, spread = _EXPONENT_PRIOR
    score = -0.5 * np.square((exponents - mean) / spread)
    for one in measured:
        expected = levels * (floors + (1 - floors) * (last.photos / one.photos) ** exponents)
        score -= 0.5 * np.square((one.error - np.minimum(expected, 1.0)) / one.deviation)
    weights = np.exp(score - score.max()).reshape(-1)
    gains = (levels * (1 - floors) * (1 - 2.0**-exponents)).reshape(-1)
    low, middle, high = _quantiles(gains, weights, RANGE)
    spread = NormalDist().inv_cdf(RANGE[-1]) * _DRAW_VARIATION * last.deviation
    low = max(-1.0, middle - math.hypot(middle - low, spread))
    high = min(1.0, middle + math.hypot(high - middle, spread))
    return Forecast(
        photos=2 * photos,
        gain_low=low,
        gain=middle,
        gain_high=high,
        sentence=_sentence(low, high),
    )


def _sentence(low: float, high: float) -> str:
    first, last = max(0, round(100 * low)), round(100 * high)
    if last < 1:
        return "Twice the labels would likely bring less than 1 point."
    if last == 1:
        return "Twice the labels would likely bring 1 point at most."
    if not first:
        return f"Twice the labels would likely bring up to {last} points."
    if first == last:
        return f"Twice the labels would likely bring about {last} points."
    return f"Twice the labels would likely bring {first} to {last} points."


def _repeats(photos: int) -> int:
    return max(1, min(REPEATS, round(MOST_PHOTOS / (sum(PARTS) * max(photos, 1)))))


def _measured(sizes: list[int], errors: list[float], photos: int) -> Measured:
    error = float(np.mean(errors))
    binomial = max(error * (1 - error), 1 / photos) / photos
    between = float(np.var(errors, ddof=1)) / len(errors) if len(errors) > 1 else binomial
    return Measured(float(np.mean(sizes)), error, math.sqrt(between + binomial))


def _ranks(
    labels_N: NDArray[np.int_], groups_N: NDArray[np.int_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return for each photo the place of its group among those of its class, 0 to below 1."""
    _, first_G, group_N = np.unique(groups_N, return_index=True, return_inverse=True)
    class_G = labels_N[first_G]
    rank_G = np.zeros(len(first_G))
    for label in np.unique(class_G):
        own = np.flatnonzero(class_G == label)
        rank_G[rng.permutation(own)] = np.arange(len(own)) / len(own)
    ranks: NDArray[np.float64] = rank_G[group_N.reshape(-1)]
    return ranks


def _quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], at: tuple[float, ...]
) -> list[float]:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    places = np.searchsorted(total, np.array(at) * total[-1])
    return [float(values[order][min(int(place), len(values) - 1)]) for place in places]
