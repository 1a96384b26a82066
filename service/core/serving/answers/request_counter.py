"""Counts of requests: metrics and statistics of one model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from observability.metrics.model_metrics import ModelSeries
from observability.tracing.span import Span
from schemas.errors import ServiceError
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.call_context import CallContext
from service.core.serving.batch_executor import RowResult
from service.core.serving.statistics import RequestDurations, StatisticsCollector


class RequestCounter:
    """The counts of one model's requests."""

    def __init__(self, series: ModelSeries, statistics: StatisticsCollector) -> None:
        self._series, self._statistics = series, statistics

    def abstained(self) -> None:
        """Count an answer without a label."""
        self._series.abstentions.inc()

    def answered(
        self,
        began: float,
        outcomes: Sequence[Outcome[RowResult]],
        protocol: str,
        span: Span | None,
        *,
        items: int | None = None,
    ) -> None:
        """Count an answered request.

        Args:
            began: when it arrived, on ``time.monotonic``, in seconds.
            items: its items, if an outcome is that of several.
        """
        series, count = self._series, len(outcomes)
        exemplar = span.exemplar if span else None
        for outcome in outcomes:
            series.stages["queue"].observe(outcome.queue_seconds, exemplar)
        series.predictions(protocol).inc(count if items is None else items)
        slowest = outcomes[0] if count == 1 else max(outcomes, key=_seconds_of)
        reading = slowest.answer.reading_seconds
        self._statistics.succeeded(
            RequestDurations(
                time.monotonic() - began,
                slowest.queue_seconds,
                slowest.answer.preparing_seconds,
                slowest.run_seconds - reading,
                reading,
            ),
            items=count if items is None else items,
        )

    def answered_each(
        self,
        found: Sequence[Outcome[RowResult] | ServiceError],
        calls: Sequence[CallContext],
        seconds: float,
    ) -> None:
        """Count requests that were answered together, after so many seconds."""
        series, courses, abstained = self._series, [], 0
        queue = series.stages["queue"]
        for one in found:
            if isinstance(one, ServiceError):
                self._statistics.failed(seconds)
                continue
            answer = one.answer
            reading = answer.reading_seconds
            abstained += answer.summary is None and not answer.present
            queue.observe(one.queue_seconds, None)
            courses.append(
                RequestDurations(
                    seconds,
                    one.queue_seconds,
                    answer.preparing_seconds,
                    one.run_seconds - reading,
                    reading,
                )
            )
        self._statistics.succeeded_each(courses)
        # Callers of one kind: windows come from the intake of sensors alone.
        series.predictions(calls[0].protocol).inc(len(courses))
        if abstained:
            series.abstentions.inc(abstained)


def _seconds_of(outcome: Outcome[RowResult]) -> float:
    return outcome.queue_seconds + outcome.answer.preparing_seconds + outcome.run_seconds
