"""What is measured of a request that is traced: plain data, until the request has ended.

Stages run on worker threads and are told by when they began and ended, on ``time.perf_counter``.
What OpenTelemetry makes of them is ``otlp.py``'s business; nothing else here knows it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

Facts = Mapping[str, str | int | float | bool]
NO_FACTS: Facts = {}
MAX_BRANCHES = 24
"""Spans of one trace that may have others below them: images of a batch, messages of a stream."""


class Span:
    """A piece of work: when it began and ended, what is known of it, and what went on inside."""

    __slots__ = ("began", "children", "ended", "error", "exemplar", "facts", "name")

    def __init__(
        self, name: str, began: float, facts: Facts, exemplar: dict[str, str] | None
    ) -> None:
        """``exemplar``: what a histogram is told beside a time of this span."""
        self.name, self.began, self.facts, self.exemplar = name, began, facts, exemplar
        self.ended: float | None = None
        self.error = ""
        self.children: list[Span] = []

    @property
    def size(self) -> int:
        """How many spans this and those inside of it are."""
        return 1 + sum(child.size for child in self.children)

    @property
    def last(self) -> float:
        """When the last of what is known of it ended."""
        return max([self.ended or self.began, *(child.last for child in self.children)])

    def add(
        self, name: str, began: float, ended: float, facts: Facts = NO_FACTS, *, error: str = ""
    ) -> None:
        """Something inside of it that is over. Any thread may tell."""
        child = Span(name, began, facts, None)
        child.ended, child.error = ended, error
        self.children.append(child)


class Trace(Span):
    """One request. Whether it is sampled may change once it is known who calls."""

    __slots__ = (
        *("_branches", "began_ns", "claimed", "follow", "is_failure", "is_sampled"),
        *("left_out", "parent", "trace_id"),
    )

    def __init__(self, claimed: str, follow: Callable[[Trace], None]) -> None:
        """``claimed``: the caller's ``traceparent``; ``follow`` is for when that counts."""
        super().__init__("", time.perf_counter(), NO_FACTS, None)
        self.began_ns = time.time_ns()
        self.trace_id = random.getrandbits(128) or 1
        self.parent = 0
        self.claimed, self.follow = claimed, follow
        self.is_sampled = self.is_failure = False
        self.left_out = self._branches = 0

    @property
    def shown_id(self) -> str:
        """The trace's id as tools write it."""
        return f"{self.trace_id:032x}"

    def sample(self) -> None:
        """It will be sent: from now on logs and histograms may name it."""
        self.is_sampled = True
        self.exemplar = {"trace_id": self.shown_id}

    def drop(self) -> None:
        """It will not."""
        self.is_sampled, self.exemplar = False, None

    def branch(self, name: str, facts: Facts, *, of: Span | None = None) -> Span | None:
        """A span that begins now, in which others may be; None if there are too many already."""
        if self._branches == MAX_BRANCHES:
            self.left_out += 1
            return None
        self._branches += 1
        span = Span(name, time.perf_counter(), facts, self.exemplar)
        (of or self).children.append(span)
        return span

    def wall_ns(self, moment: float) -> int:
        """A moment of ``time.perf_counter`` in nanoseconds since the epoch."""
        return self.began_ns + round((moment - self.began) * 1e9)
