"""Whether a verdict keeps what it says: its interval, its forecast and its promised precision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks.teach.labelled import Labelled
from service.teach.heads.fitting import FitOptions, Fitted, Targets, fit
from service.teach.verdict.held_out import softmax
from service.teach.verdict.verdict import judge

SIZES = (20, 40, 80, 120, 200)


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw of labelled photos, the verdict on it, and how the head does on all others.

    Attributes:
        stated: held-out accuracy; ``low``, ``high``: its interval; ``true``: on all others.
        gains: low and high end of the forecast; ``gain``: of as many further photos.
        coverage, precision: at the promised threshold, on all others; absent without one.
    """

    stated: float
    low: float
    high: float
    true: float
    gains: tuple[float, float] | None
    gain: float | None
    coverage: float | None
    precision: float | None


def measure(data: Labelled, resamples: int, options: FitOptions) -> list[dict[str, object]]:
    """Draw photos of pairs of classes and of all classes; return a row for each size and set.

    Photos are drawn at random, or, where that is named, the same number of each class.
    """
    rng = np.random.default_rng(0)
    pairs = [data.of_classes(pair) for pair in combinations(range(len(data.classes)), 2)]
    sets = {"pairs": pairs}
    if len(data.classes) > 2:
        sets["all classes"] = [data]
    rows: list[dict[str, object]] = []
    for name, kinds in sets.items():
        for size in SIZES:
            for is_even in (False, True):
                if size < 3 * len(kinds[0].classes):
                    continue
                draws = [
                    _draw(kinds[turn % len(kinds)], size, rng, options, is_even=is_even)
                    for turn in range(resamples)
                ]
                drawn = "evenly" if is_even else "at random"
                row = {"classes": name, "labels": size, "drawn": drawn, **_summary(draws)}
                print(row)
                rows.append({**row, "draws": [asdict(draw) for draw in draws]})
    return rows


def _draw(
    data: Labelled, size: int, rng: np.random.Generator, options: FitOptions, *, is_even: bool
) -> Draw:
    order = rng.permutation(len(data.labels_N))
    if is_even:
        order = order[np.argsort(_turns(data.labels_N[order]), kind="stable")]
    while len(np.unique(data.labels_N[order[:size]])) < 2:
        order = rng.permutation(order)
    taken, others = order[:size], order[size:]
    fitted, targets = _fitted(data, taken, options)
    verdict = judge(
        fitted,
        targets,
        np.arange(size),
        [str(place) for place in taken],
        data.classes,
        features_NVD=data.features_NVD[taken],
    )
    interval = verdict.accuracy.interval
    assert interval is not None
    assert verdict.accuracy.value is not None
    right_N, scores_N = _answers(fitted, data, others)
    gain = gains = None
    if verdict.forecast is not None and len(others) > 2 * size:
        gains = verdict.forecast.gain_low, verdict.forecast.gain_high
        gain = _gain(fitted, data, order, options)
    threshold = verdict.calibration.threshold
    answered_N = scores_N >= (2 if threshold is None else threshold)
    return Draw(
        stated=verdict.accuracy.value,
        low=interval.low,
        high=interval.high,
        true=float(right_N.mean()),
        gains=gains,
        gain=gain,
        coverage=None if threshold is None else float(answered_N.mean()),
        precision=float(right_N[answered_N].mean()) if answered_N.any() else None,
    )


def _fitted(data: Labelled, rows: NDArray[np.int_], options: FitOptions) -> tuple[Fitted, Targets]:
    targets = Targets.of_labels(data.labels_N[rows], len(data.classes))
    return fit(data.features_NVD[rows], targets, np.arange(len(rows)), options=options), targets


def _gain(fitted: Fitted, data: Labelled, order: NDArray[np.int_], options: FitOptions) -> float:
    """Return what a head fitted to twice the photos answers better, on all others."""
    size = len(fitted.held_out_NK)
    twice, _ = _fitted(data, order[: 2 * size], options)
    judged = order[2 * size :]
    once_N, twice_N = (_answers(one, data, judged)[0] for one in (fitted, twice))
    return float(twice_N.mean() - once_N.mean())


def _answers(
    fitted: Fitted, data: Labelled, rows: NDArray[np.int_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return whether photos are answered right, and the scores of the answers."""
    logits_NK = fitted.head.logits(data.features_NVD[rows, 0])
    scores_N = softmax(logits_NK / fitted.temperature).max(axis=1)
    return np.asarray(logits_NK.argmax(axis=1) == data.labels_N[rows], np.bool_), scores_N


def _turns(labels_N: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return for each photo how many of its class come before."""
    turns_N = np.zeros(len(labels_N), np.int_)
    for label in np.unique(labels_N):
        rows = np.flatnonzero(labels_N == label)
        turns_N[rows] = np.arange(len(rows))
    return turns_N


def _summary(draws: list[Draw]) -> dict[str, object]:
    forecasts = [
        draw.gains[0] <= draw.gain <= draw.gains[1]
        for draw in draws
        if draw.gains is not None and draw.gain is not None
    ]
    promised = [draw for draw in draws if draw.precision is not None]
    return {
        "covered": float(np.mean([draw.low <= draw.true <= draw.high for draw in draws])),
        "width": float(np.mean([draw.high - draw.low for draw in draws])),
        "stated": float(np.mean([draw.stated for draw in draws])),
        "true": float(np.mean([draw.true for draw in draws])),
        "forecast_covered": float(np.mean(forecasts)) if forecasts else None,
        "promised": len(promised) / len(draws),
        "coverage": _mean([draw.coverage for draw in promised]),
        "precision": _mean([draw.precision for draw in promised]),
    }


def _mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None
