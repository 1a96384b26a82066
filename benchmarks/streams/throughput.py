"""One stream in mode ``all`` against HTTP, on the same photo and server."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.streams.websocket_load import stream
from benchmarks.support import photo
from benchmarks.support.measuring import Sample, Samples, median, ratio, rounded, under_load
from benchmarks.support.subject import Subject

CLIENTS = 32
BAR = 0.95


@dataclass(slots=True)
class Throughput:
    """Samples by round. ``per_second``: answers; ``cpu_ms``: of the server, an answer."""

    http: Samples = field(default_factory=list)
    stream: Samples = field(default_factory=list)

    def measure(self, server: Subject, seconds: float) -> None:
        """Measure both in direct succession; odd rounds backwards."""
        if len(self.http) % 2:
            self.stream.append(_streamed(server, seconds))
            self.http.append(under_load(server, photo.jpeg(), CLIENTS, seconds))
        else:
            self.http.append(under_load(server, photo.jpeg(), CLIENTS, seconds))
            self.stream.append(_streamed(server, seconds))

    def over_http(self, key: str = "per_second") -> float | None:
        """Return a figure of the stream over that of HTTP: the median over the rounds."""
        return ratio(self.stream, self.http, key)

    def line(self) -> str:
        """Format the medians for people."""
        rates = median(self.stream, "per_second"), median(self.http, "per_second")
        return (
            f"all: {rates[0]:.0f} frames/s, HTTP with {CLIENTS} clients {rates[1]:.0f}; "
            f"ratio {self.over_http():.3f} (bar {BAR}), of CPU {self.over_http('cpu_ms'):.3f}"
        )

    def as_json(self) -> dict[str, object]:
        """Convert every sample and the ratios for the results file."""
        return {
            "clients": CLIENTS,
            "http": self.http,
            "stream": self.stream,
            "per_second_over_http": rounded(self.over_http()),
            "cpu_over_http": rounded(self.over_http("cpu_ms")),
        }


def _streamed(server: Subject, seconds: float) -> Sample:
    before = server.cpu_seconds()
    load = stream(server, "all", seconds)
    used = server.cpu_seconds() - before
    server.settle()
    return {
        "per_second": load.per_second,
        "cpu_ms": 1000 * used / max(1, load.answered),
        "p50_age_ms": load.p50_ms,
        "p99_age_ms": load.p99_ms,
        "errors": load.errors,
        "generator_cores": load.generator_cores,
    }
