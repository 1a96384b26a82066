"""Age of the answered frames in mode ``latest``, while more frames are sent than are answered.

The age is the server's: from the arrival of a frame to its answer. The service time is the median
age of frames that are sent one by one, in the same round. On a machine with other work their p99
is far above that too: so the p99 are compared as well.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field

from benchmarks.streams.websocket_load import StreamLoad, stream
from benchmarks.support.subject import Subject

OVERLOAD = 4
BAR = 3.0


@dataclass(slots=True)
class Freshness:
    """Samples by round."""

    alone: list[StreamLoad] = field(default_factory=list)
    overloaded: list[StreamLoad] = field(default_factory=list)

    def measure(self, server: Subject, seconds: float) -> None:
        """Measure the service time, then the ages at ``OVERLOAD`` times the rate that it allows."""
        self.alone.append(stream(server, "latest", seconds, most_unanswered=1))
        rate = OVERLOAD * 1000 / self.alone[-1].p50_ms
        self.overloaded.append(stream(server, "latest", seconds, rate=rate))
        server.settle()

    def in_service_times(self, name: str = "p99_ms") -> float:
        """Return an age under overload over the service time: the median over the rounds."""
        pairs = zip(self.overloaded, self.alone, strict=True)
        return statistics.median(float(getattr(load, name)) / one.p50_ms for load, one in pairs)

    def p99_over_alone(self) -> float:
        """Return the p99 age under overload over that of frames sent one by one, likewise."""
        pairs = zip(self.overloaded, self.alone, strict=True)
        return statistics.median(load.p99_ms / one.p99_ms for load, one in pairs)

    def line(self) -> str:
        """Format the medians for people."""
        service = statistics.median(load.p50_ms for load in self.alone)
        dropped = statistics.median(
            load.dropped / (load.dropped + load.answered) for load in self.overloaded
        )
        return (
            f"latest at {OVERLOAD} times overload: p99 age {self.in_service_times():.2f} service "
            f"times (bar {BAR}), p50 {self.in_service_times('p50_ms'):.2f}; p99 over that of "
            f"single frames {self.p99_over_alone():.2f}; "
            f"service time {service:.1f} ms, {dropped:.0%} dropped"
        )

    def as_json(self) -> dict[str, object]:
        """Convert every sample and the ratios for the results file."""
        return {
            "overload": OVERLOAD,
            "alone": [asdict(load) for load in self.alone],
            "overloaded": [asdict(load) for load in self.overloaded],
            "p50_age_in_service_times": round(self.in_service_times("p50_ms"), 3),
            "p99_age_in_service_times": round(self.in_service_times(), 3),
            "p99_over_p99_alone": round(self.p99_over_alone(), 3),
            "p99_alone_in_service_times": round(
                statistics.median(load.p99_ms / load.p50_ms for load in self.alone), 3
            ),
        }
