"""Score of a run: requests answered in time, requests refused, cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from tools.autoscaling.books import REFUSED
from tools.autoscaling.simulation import Run
from tools.autoscaling.traces import HOT

HOUR = 3600.0
STUDENT_95 = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t, by degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Score:
    """Score of a run; shares of all requests. ``others``: ``in_time`` without the hot camera.

    Attributes:
        in_time: answered within the objective, neither refused nor late.
        hours: replica-hours, from creation to end.
        most: largest number of replicas at a time.
    """

    in_time: float
    others: float
    refused: float
    hours: float
    most: float


def score(run: Run, objective: float) -> Score:
    """Score one run; ``objective`` in seconds."""
    latency = np.asarray(run.books.latency)
    good = (latency >= 0) & (latency <= objective)
    usual = np.fromiter((owner != HOT for owner in run.books.owner), bool, len(latency))
    return Score(
        in_time=float(good.mean()),
        others=float(good[usual].mean()),
        refused=float((latency == REFUSED).mean()),
        hours=run.pod_seconds / HOUR,
        most=float(max(moment.size for moment in run.moments)),
    )


def mean(scores: Iterable[Score]) -> Score:
    """Return the mean of each figure."""
    found = list(scores)
    names = [field.name for field in fields(Score)]
    return Score(*(statistics.fmean(getattr(one, name) for one in found) for name in names))


def interval(values: Sequence[float]) -> float | None:
    """Return half of the 95 % confidence interval of a mean; None for a single value."""
    freedom = len(values) - 1
    if freedom < 1:
        return None
    quantile = STUDENT_95[min(freedom, len(STUDENT_95) - 1)]
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def summary(by_seed: Sequence[dict[str, Score]]) -> dict[str, Any]:
    """Return means over seeds for each trace, and over traces with confidence intervals."""
    traces = {name: rounded(mean(scores[name] for scores in by_seed)) for name in by_seed[0]}
    over_traces = [mean(scores.values()) for scores in by_seed]
    return {
        "mean": rounded(mean(over_traces)),
        "plus_minus": {
            name: _rounded(interval([getattr(one, name) for one in over_traces]))
            for name in ("in_time", "refused", "hours")
        },
        "seeds": len(by_seed),
        "traces": traces,
    }


def rounded(found: Score) -> dict[str, float]:
    """Convert a score to rounded figures for files."""
    return {name: round(value, 5) for name, value in asdict(found).items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
