"""Fits a temperature and thresholds to images whose content is known.

The temperature calibrates probabilities (Guo et al., "On calibration of modern neural networks",
ICML 2017); the thresholds give answers the promised precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.manifest.model_output import OutputSpec
from schemas.operator_error import OperatorError
from service.core.imaging.hedging import NEVER, Hedger
from service.modeltools.measuring.best_answers import best_answers
from service.modeltools.measuring.truth import Truth

MIN_IMAGES, MIN_CLASSES, MIN_ANSWERS = 50, 2, 20
COLDEST, HOTTEST = 0.05, 20.0
_GRID, _NARROW = 13, 1e-4
_ROWS = 4096
_GOLDEN = (math.sqrt(5) - 1) / 2


class CannotFit(OperatorError):
    """The images cannot be used for calibration. The message is for people."""


def check_enough(truths: Sequence[Truth]) -> None:
    """Refuse images that are too few or too uniform to fit on.

    Raises:
        CannotFit: fewer than ``MIN_IMAGES`` have a label, or all have the same.
    """
    named = [truth.labels for truth in truths if truth.labels]
    if len(named) < MIN_IMAGES:
        message = (
            f"{len(named)} images to fit on name a label that the model knows; at least "
            f"{MIN_IMAGES} are needed"
        )
        raise CannotFit(message)
    if len(set(named)) < MIN_CLASSES:
        title = next(truth.title for truth in truths if truth.labels)
        message = f"all images to fit on show '{title}'; at least {MIN_CLASSES} classes are needed"
        raise CannotFit(message)


def fit_temperature(
    output_NK: NDArray[np.float32], truths: Sequence[Truth], spec: OutputSpec
) -> float:
    """Find the temperature with the least negative log likelihood of the right labels.

    Where several labels are right, their probabilities are summed. Images without a label do not
    count.

    Args:
        output_NK: the engine's output, float32 [N, K], finite.
        truths: of the N images.
        spec: of the output; probabilities are not scaled.

    Returns:
        A temperature of ``COLDEST`` to ``HOTTEST``, rounded to 4 decimals; 1 for probabilities.

    Raises:
        CannotFit: see ``check_enough``, or an output that no temperature applies to.
    """
    check_enough(truths)
    if spec.kind == "probabilities":
        return 1.0
    if spec.kind != "logits":
        message = f"an output of the kind '{spec.kind}' has no temperature"
        raise CannotFit(message)
    rows = [n for n, truth in enumerate(truths) if truth.labels]
    right_NK = np.zeros((len(rows), output_NK.shape[1]), np.bool_)
    for place, n in enumerate(rows):
        right_NK[place, np.add(truths[n].labels, spec.label_offset)] = True
    logits_NK = output_NK[rows]

    def loss(log_temperature: float) -> float:
        return _loss(logits_NK, right_NK, math.exp(log_temperature))

    # With sets of right labels there may be several minima: search a grid before descending.
    grid = np.linspace(math.log(COLDEST), math.log(HOTTEST), _GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = math.exp(_least(loss, float(low), float(high)))
    return round(min(max(found, COLDEST), HOTTEST), 4)


def fit_thresholds(
    shares_NK: NDArray[np.floating],
    truths: Sequence[Truth],
    hedger: Hedger,
    precision: float,
    minimum: int = MIN_ANSWERS,
) -> tuple[float, ...]:
    """Find the lowest thresholds that reach a precision on each level, from the labels upwards.

    A level is fitted on the images not answered on a finer one. Its threshold is the score of one
    of them, rounded up (but below ``NEVER``), such that of those at or above it the share of right
    answers is at least ``precision``. Named foreign images count as wrong.

    Args:
        shares_NK: calibrated probabilities of the labels, [N, K], 0..1.
        truths: of the N images.
        hedger: the model's levels; its own thresholds are ignored.
        precision: above 0 and below 1.
        minimum: required number of answers at or above the threshold.

    Returns:
        One for the labels, then one for each level of groups; multiples of 0.001, 0..1. ``NEVER``
        for a level on which no threshold reaches the precision.

    Raises:
        CannotFit: ``precision`` is out of range.
    """
    check_precision(precision)
    answers = best_answers(shares_NK, hedger)
    right_NL = answers.right(truths)
    open_N = np.ones(len(right_NL), np.bool_)
    thresholds = []
    for level in range(right_NL.shape[1]):
        scores_N = answers.scores_NL[:, level]
        threshold = _lowest(scores_N[open_N], right_NL[open_N, level], precision, minimum)
        thresholds.append(threshold)
        if threshold < NEVER:
            open_N &= scores_N < threshold
    return tuple(thresholds)


def check_precision(precision: float) -> None:
    """Raise CannotFit unless ``precision`` is above 0 and below 1."""
    if not 0 < precision < 1:
        message = f"a precision of {precision:g} cannot be promised: above 0 and below 1"
        raise CannotFit(message)


def _lowest(
    scores_M: NDArray[np.float64], right_M: NDArray[np.bool_], precision: float, minimum: int
) -> float:
    """Find the lowest threshold of one level, see ``fit_thresholds``."""
    order = np.argsort(scores_M, kind="stable")
    ascending = scores_M[order]
    right_above = np.append(np.cumsum(right_M[order][::-1])[::-1], 0)
    # Evaluated at the rounded threshold, which may exclude a right answer.
    thousandths = np.ceil(np.round(ascending * 1000, 6))
    candidates = np.unique(np.minimum(thousandths, 1000 * NEVER - 1)) / 1000
    places = np.searchsorted(ascending, candidates)
    counts = len(ascending) - places
    # The margin is for products like 0.55 * 20, which are not exact.
    keeps = (counts >= max(minimum, 1)) & (right_above[places] >= precision * counts - 1e-9)
    return float(candidates[keeps.argmax()]) if keeps.any() else NEVER


def _loss(logits_NK: NDArray[np.float32], right_NK: NDArray[np.bool_], temperature: float) -> float:
    """Return the mean negative log likelihood of the right classes together."""
    total = 0.0
    for start in range(0, len(logits_NK), _ROWS):  # float64 of all at once may not fit
        scaled = logits_NK[start : start + _ROWS].astype(np.float64) / temperature
        right = np.where(right_NK[start : start + _ROWS], scaled, -np.inf)
        total += float((_log_sum(scaled) - _log_sum(right)).sum())
    return total / len(logits_NK)


def _log_sum(values_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-sum-exp of each row, [N]; each row has a finite value."""
    largest_N1 = values_NK.max(axis=1, keepdims=True)
    sums_N = np.exp(values_NK - largest_N1).sum(axis=1)
    found_N: NDArray[np.float64] = np.log(sums_N) + largest_N1[:, 0]
    return found_N


def _least(of: Callable[[float], float], low: float, high: float) -> float:
    """Return the minimum point of a unimodal function, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    while high - low > _NARROW:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = of(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = of(right)
    return (low + high) / 2
