"""Measurements of a traced request: plain data, until the request has ended.

Stages run on worker threads and are recorded by begin and end times of ``time.perf_counter``.
Only ``otlp.py`` converts them for OpenTelemetry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

Attributes = Mapping[str, str | int | float | bool]
NO_ATTRIBUTES: Attributes = {}
MAX_BRANCHES = 24
"""Maximum number of spans with children in one trace: images of a batch, messages of a stream."""


class Span:
    """A piece of work: begin and end, attributes, error, and child spans."""

    __slots__ = ("attributes", "began", "children", "ended", "error", "exemplar", "name")

    def __init__(
        self, name: str, began: float, attributes: Attributes, exemplar: dict[str, str] | None
    ) -> None:
        """``exemplar``: recorded in a histogram with a duration of this span."""
        self.name, self.began, self.attributes, self.exemplar = name, began, attributes, exemplar
        self.ended: float | None = None
        self.error = ""
        self.children: list[Span] = []

    @property
    def size(self) -> int:
        """Number of spans: this one and all below it."""
        return 1 + sum(child.size for child in self.children)

    @property
    def last(self) -> float:
        """End of the last span: this one or any below it."""
        return max([self.ended or self.began, *(child.last for child in self.children)])

    def add(
        self,
        name: str,
        began: float,
        ended: float,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        error: str = "",
    ) -> None:
        """Add a finished child span. Safe from any thread."""
        child = Span(name, began, attributes, None)
        child.ended, child.error = ended, error
        self.children.append(child)


class Trace(Span):
    """The trace of one request. Sampling may change once the caller is known."""

    __slots__ = (
        *("_branches", "began_ns", "claimed", "follow", "is_failure", "is_sampled"),
        *("left_out", "linked", "parent", "span_id", "trace_id"),
    )

    def __init__(self, claimed: str, follow: Callable[[Trace], None]) -> None:
        """``claimed``: the caller's ``traceparent``; ``follow`` applies it.

        ``linked`` may be set to a trace that this one belongs to, such as that of the connection.
        """
        super().__init__("", time.perf_counter(), NO_ATTRIBUTES, None)
        self.began_ns = time.time_ns()
        self.trace_id = random.getrandbits(128) or 1
        self.span_id = random.getrandbits(64) or 1
        self.linked: Trace | None = None
        self.parent = 0
        self.claimed, self.follow = claimed, follow
        self.is_sampled = self.is_failure = False
        self.left_out = self._branches = 0

    @property
    def shown_id(self) -> str:
        """The trace id as tools write it: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    def sample(self) -> None:
        """Mark the trace as sampled: logs and histograms may name it from now on."""
        self.is_sampled = True
        self.exemplar = {"trace_id": self.shown_id}

    def drop(self) -> None:
        """Mark the trace as not sampled."""
        self.is_sampled, self.exemplar = False, None

    def hold(self, name: str, seconds: float) -> None:
        """Record a wait before this trace as its first child span, and begin the trace with it."""
        self.add(name, self.began - seconds, self.began)
        self.began -= seconds
        self.began_ns -= round(seconds * 1e9)

    def branch(self, name: str, attributes: Attributes, *, of: Span | None = None) -> Span | None:
        """Begin a span that may have children; return None beyond ``MAX_BRANCHES``."""
        if self._branches == MAX_BRANCHES:
            self.left_out += 1
            return None
        self._branches += 1
        span = Span(name, time.perf_counter(), attributes, self.exemplar)
        (of or self).children.append(span)
        return span

    def wall_ns(self, moment: float) -> int:
        """Convert a time of ``time.perf_counter`` to nanoseconds since the epoch."""
        return self.began_ns + round((moment - self.began) * 1e9)
