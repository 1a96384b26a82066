"""Time series of one run for drawing: about a thousandth of the run's data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tools.autoscaling.scoring import Score
from tools.autoscaling.simulation import Run
from tools.autoscaling.traces import Floats

BIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Course:
    """One run over time.

    Attributes:
        rates: images requested in each second.
        at: seconds, the middle of each bin of requests by arrival.
        p95: seconds, of the answers in each bin; NaN without answers.
        missed: share of each bin without an answer within the objective.
        scraped: seconds, times of ``replicas`` and ``held``.
        replicas: number requested.
        held: images in flight and waiting on a ready replica.
    """

    rates: Floats
    at: Floats
    p95: list[float]
    missed: list[float]
    scraped: list[float]
    replicas: list[int]
    held: list[float]
    score: Score

    @classmethod
    def of(cls, run: Run, rates: Floats, score: Score, objective: float) -> Course:
        """Build the course of a run; ``objective`` in seconds."""
        order = np.argsort(run.books.arrived, kind="stable")
        arrived = np.asarray(run.books.arrived)[order]
        latency = np.asarray(run.books.latency)[order]
        moments = [moment for moment in run.moments if moment.at <= run.seconds]
        edges = np.arange(0, run.seconds + BIN_SECONDS, BIN_SECONDS)
        bins = np.split(latency, np.searchsorted(arrived, edges[1:-1]))
        return cls(
            rates=rates,
            at=edges[:-1] + BIN_SECONDS / 2,
            p95=[_p95(values[values >= 0]) for values in bins],
            missed=[_missed(values, objective) for values in bins],
            scraped=[moment.at for moment in moments],
            replicas=[moment.size for moment in moments],
            held=[moment.depth for moment in moments],
            score=score,
        )


def _p95(values: Floats) -> float:
    return float(np.percentile(values, 95)) if len(values) else math.nan


def _missed(values: Floats, objective: float) -> float:
    return float(1 - ((values >= 0) & (values <= objective)).mean()) if len(values) else math.nan
