"""Which requests are traced, and where their traces go once they have ended.

A share of all requests, drawn here: an id that the caller chose would let anybody choose to be in
it. A caller's ``traceparent`` counts once a token has shown who calls, and then either way: what is
not sampled there is not sampled here; what is, is sampled here too, up to so many a second.
Until then a request is a stranger's, and its trace is one of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from observability import request
from observability.metrics import Metrics
from observability.settings import ObservabilitySettings
from observability.span import Trace

BURST_SECONDS = 2.0


class Parent(NamedTuple):
    """The span of a caller's that a request belongs under."""

    trace_id: int
    span_id: int
    is_sampled: bool


class Sender(Protocol):
    """Sends traces to a collector."""

    def send(self, trace: Trace) -> None:
        """Takes a trace whose request has ended; never blocks."""

    def parent(self, claimed: str) -> Parent | None:
        """What a ``traceparent`` says; None if it is none."""

    def close(self) -> None:
        """Sends what is left, within a bounded time. Blocks."""


OpenSender = Callable[[ObservabilitySettings, str, Metrics], Sender]


def _open_otlp(settings: ObservabilitySettings, version: str, metrics: Metrics) -> Sender:
    from observability.otlp import OtlpSender  # 7 MB and a while, for those who want it

    return OtlpSender(settings, version, metrics)


class Tracing:
    """Of one process. Made where it is on; does nothing before ``running`` and after it."""

    def __init__(
        self,
        settings: ObservabilitySettings,
        version: str,
        metrics: Metrics,
        *,
        open_sender: OpenSender = _open_otlp,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._version, self._metrics = settings, version, metrics
        self._open, self._draw = open_sender, draw
        self._ratio = settings.trace_sample_ratio
        self._parents = _Bucket(settings.trace_parents_per_second, clock)
        self._sender: Sender | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Traces are sent within; what is left is sent at the end.

        Raises:
            OperatorError: an ``OTEL_`` variable cannot be used.
        """
        self._sender = sender = self._open(self._settings, self._version, self._metrics)
        try:
            yield
        finally:
            self._sender = None
            sender.close()

    def begin(self, claimed: str) -> Trace | None:
        """The trace of a request that begins now; None if there will be none.

        Args:
            claimed: its ``traceparent``; empty if it has none.
        """
        is_drawn = self._draw() < self._ratio
        if self._sender is None or not (is_drawn or claimed):
            return None
        trace = Trace(claimed, self._follow)
        if is_drawn:
            trace.sample()
        return trace

    def end(self, trace: Trace) -> None:
        """Its request has ended, and the trace says what it was."""
        trace.ended = time.perf_counter()
        if self._sender is not None:
            self._sender.send(trace)

    def _follow(self, trace: Trace) -> None:
        claimed, trace.claimed = trace.claimed, ""
        parent = self._sender.parent(claimed) if self._sender and claimed else None
        if parent is None:
            return
        if not parent.is_sampled:
            trace.drop()
        elif trace.is_sampled or self._parents.take():
            trace.trace_id, trace.parent = parent.trace_id, parent.span_id
            trace.sample()


class _Bucket:
    """A token bucket: ``rate`` a second on average, a little more at once."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._left = self._most = max(1.0, rate * BURST_SECONDS) if rate else 0.0
        self._filled = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def follow_caller() -> None:
    """Whoever calls has shown a token that holds: from now on their ``traceparent`` counts."""
    current = request.current()
    if current is not None and current.trace is not None:
        current.trace.follow(current.trace)
        if not current.trace.is_sampled:
            current.trace = None
