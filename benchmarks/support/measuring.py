"""One measurement of a server under load, and medians and ratios of several."""

from __future__ import annotations

import statistics

from benchmarks.support import load
from benchmarks.support.subject import Subject

Sample = dict[str, float]
Samples = list[Sample]
"""One sample a round; see ``load.Load`` for units."""

WARM_CLIENTS = 8


def warm_up(server: Subject, body: bytes, seconds: float = 1) -> None:
    """Warm up caches and CPU clocks with load."""
    load.post(
        server.endpoint, body, "image/jpeg", server.token, clients=WARM_CLIENTS, seconds=seconds
    )
    server.settle()


def under_load(
    server: Subject, body: bytes, clients: int, seconds: float, content_type: str = "image/jpeg"
) -> Sample:
    """Measure the server while ``clients`` post the same body."""
    before = server.cpu_seconds()
    seen = load.post(
        server.endpoint, body, content_type, server.token, clients=clients, seconds=seconds
    )
    used = server.cpu_seconds() - before
    memory = {"memory_mib": server.memory_mib(), "proportional_mib": server.proportional_mib()}
    server.settle()
    return {
        "per_second": seen.per_second,
        "cpu_ms": 1000 * used / seen.requests if seen.requests else 0.0,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "errors": seen.errors,
        **memory,
        "generator_cores": seen.own_cpu,
    }


def median(samples: Samples, key: str) -> float:
    """Return the median of a figure."""
    return statistics.median(sample[key] for sample in samples)


def ratio(samples: Samples, reference: Samples, key: str) -> float | None:
    """Return the median of the ratios by round, least affected by the machine's drift.

    None if the reference never answered.
    """
    pairs = zip(samples, reference, strict=True)
    ratios = [sample[key] / other[key] for sample, other in pairs if other[key]]
    return statistics.median(ratios) if ratios else None


def rounded(number: float | None, digits: int = 4) -> float | None:
    """Round a number for files; None stays None."""
    return None if number is None else round(number, digits)
