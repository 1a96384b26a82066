"""Calibration of held-out scores, and the threshold that keeps a promised precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import Calibration
from service.teach.verdict.held_out import HeldOut, HeldOutLabels

PROMISED_PRECISION = 0.95
BINS = 15


@dataclass(frozen=True, slots=True)
class Kept:
    """A threshold that keeps a promise: shares of the photos it was chosen on."""

    threshold: float
    coverage: float
    precision: float


def keep_promise(
    scores_N: NDArray[np.float64], right_N: NDArray[np.bool_], promised: float
) -> Kept | None:
    """Return the least threshold whose answers keep the promised precision; none if none does.

    The next photo counts as one more error, as in conformal risk control (Angelopoulos et al.
    2024): (errors + 1) / (answered + 1) is at most 1 - promised. So 95 % can be promised from 19
    right answers on, and a threshold that was lucky on these photos is not taken for a good one.

    Args:
        scores_N: held-out score of each answer.
        right_N: whether it is right.
        promised: precision, 0..1.
    """
    if not len(scores_N):
        return None
    order_N = np.argsort(-scores_N, kind="stable")
    sorted_N = scores_N[order_N]
    answered_N = np.arange(1, len(sorted_N) + 1)
    errors_N = np.cumsum(~right_N[order_N])
    keeps_N = (errors_N + 1) / (answered_N + 1) <= 1 - promised + 1e-12
    last_N = np.append(sorted_N[1:] < sorted_N[:-1], [True])  # equal scores stay together
    places = np.flatnonzero(keeps_N & last_N)
    if not len(places):
        return None
    place = int(places[-1])
    answered, errors = int(answered_N[place]), int(errors_N[place])
    return Kept(
        threshold=_between(sorted_N, place),
        coverage=answered / len(scores_N),
        precision=1 - errors / answered,
    )


def calibration(held: HeldOut, temperature: float, promised: float) -> Calibration:
    """Judge the scores of photos with one label each."""
    scores_N = held.scores_NK.max(axis=1, initial=0.0)[held.judged_N]
    right_N = held.right_N[held.judged_N]
    kept = keep_promise(scores_N, right_N, promised)
    return Calibration(
        temperature=temperature,
        error=expected_error(scores_N, right_N),
        promised_precision=promised,
        threshold=kept and kept.threshold,
        coverage=kept and kept.coverage,
        precision=kept and kept.precision,
    )


def label_calibration(held: HeldOutLabels, temperature: float, promised: float) -> Calibration:
    """Judge the scores of photos with several labels each; a threshold for each label.

    Coverage is the share of the labels present that are answered; precision is of all answers.
    """
    scores_NK, judged_NK = held.scores_NK, held.judged_NK
    kept = [
        keep_promise(scores_N[judged_N], present_N[judged_N], promised)
        for scores_N, present_N, judged_N in zip(
            scores_NK.T, held.present_NK.T, judged_NK.T, strict=True
        )
    ]
    thresholds_K = np.array([one.threshold if one else np.inf for one in kept])
    answered_NK = (scores_NK >= thresholds_K) & judged_NK
    present_NK = held.present_NK & judged_NK
    right, answered = int((answered_NK & present_NK).sum()), int(answered_NK.sum())
    present = int(present_NK.sum())
    return Calibration(
        temperature=temperature,
        error=expected_error(
            np.maximum(scores_NK, 1 - scores_NK)[judged_NK],
            (held.answers_NK == held.present_NK)[judged_NK],
        ),
        promised_precision=promised,
        threshold=None,
        coverage=right / present if present else None,
        precision=right / answered if answered else None,
        class_thresholds=tuple(one and one.threshold for one in kept),
    )


def expected_error(scores_N: NDArray[np.float64], right_N: NDArray[np.bool_]) -> float | None:
    """Return the expected calibration error over ``BINS`` equal bins (Guo et al. 2017)."""
    if not len(scores_N):
        return None
    bins_N = np.minimum((scores_N * BINS).astype(np.int_), BINS - 1)
    gap_B = np.bincount(bins_N, weights=scores_N - right_N, minlength=BINS)
    return float(np.abs(gap_B).sum() / len(scores_N))


def _between(sorted_N: NDArray[np.float64], place: int) -> float:
    """Return a threshold halfway to the first score below, so that rounding moves no answer."""
    below = sorted_N[place + 1] if place + 1 < len(sorted_N) else sorted_N[place]
    return float(np.clip((sorted_N[place] + below) / 2, 0.0, 1.0))
