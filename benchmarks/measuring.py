"""One measurement of a server under load, and what is made of several: medians, ratios."""

from __future__ import annotations

import statistics

from benchmarks import load
from benchmarks.subject import Subject

Sample = dict[str, float]
Samples = list[Sample]
"""One figure set a round; see ``load.Load`` for units."""

WARM_CLIENTS = 8


def warm_up(server: Subject, body: bytes, seconds: float = 1) -> None:
    """Fills caches, brings clocks up."""
    load.post(
        server.endpoint, body, "image/jpeg", server.token, clients=WARM_CLIENTS, seconds=seconds
    )
    server.settle()


def under_load(
    server: Subject, body: bytes, clients: int, seconds: float, content_type: str = "image/jpeg"
) -> Sample:
    """What the server does while so many clients post the same body."""
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
    """The middle one of a figure."""
    return statistics.median(sample[key] for sample in samples)


def ratio(samples: Samples, reference: Samples, key: str) -> float | None:
    """The middle one of the ratios taken round by round, which a machine's drift spares most.

    None if the reference never answered.
    """
    pairs = zip(samples, reference, strict=True)
    ratios = [sample[key] / other[key] for sample, other in pairs if other[key]]
    return statistics.median(ratios) if ratios else None


def rounded(number: float | None, digits: int = 4) -> float | None:
    """For files; what is missing stays missing."""
    return None if number is None else round(number, digits)
