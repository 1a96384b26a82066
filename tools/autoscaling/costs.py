"""Cost of one image, taken only from recorded benchmarks."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.models import DEFAULT
from benchmarks.support.results import RESULTS

SERVER = "2026-11-21-http.json"
OVERLOAD = "2026-11-21-overload.json"
BUSY_CLIENTS, LONE_CLIENT = "32", "1"
P99_Z = 2.326
"""Standard deviations from the median of a normal distribution to its 99th percentile."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one image on one replica, in seconds.

    Attributes:
        threads: number of threads that work on images, each on one at a time.
        service: mean thread time an image, with all threads busy.
        spread: sigma of the logarithm of ``service`` (log-normal).
        large: ``service`` for a phone's photo of 12 megapixels.
        cpu: CPU time for each second of a thread.
        refusal: thread time to refuse one request.
        ready: from the command to a warm server.
    """

    model: str
    threads: int
    service: float
    large: float
    spread: float
    cpu: float
    refusal: float
    ready: float

    @property
    def per_second(self) -> float:
        """Maximum images a second of one replica."""
        return self.threads / self.service


def measured(model: str, folder: Path = RESULTS) -> Cost:
    """Read the recorded costs of a model."""
    recorded = read(SERVER, folder)
    threads = recorded["machine"]["cores"]
    found = recorded["models"][model]
    busy, lone = (found["server"][clients] for clients in (BUSY_CLIENTS, LONE_CLIENT))
    # Decoding is the same for every model; it was measured with the smallest one.
    small = recorded["models"][DEFAULT]
    seconds = threads / median(small["forms_at_8_clients"]["12 megapixels"], "per_second")
    larger = seconds - threads / median(small["server"][BUSY_CLIENTS], "per_second")
    return Cost(
        model=model,
        threads=threads,
        service=threads / median(busy, "per_second"),
        large=threads / median(busy, "per_second") + larger,
        # A lone client never waits for another, so the spread is that of the service.
        spread=math.log(median(lone, "p99_ms") / median(lone, "p50_ms")) / P99_Z,
        cpu=median(busy, "cpu_ms") / 1000 * median(busy, "per_second") / threads,
        refusal=refusal(read(OVERLOAD, folder), threads),
        ready=found["start_seconds"],
    )


def refusal(overload: dict[str, Any], threads: int) -> float:
    """Return the thread seconds that one refusal costs: the slope of goodput over refusals."""
    beyond = [point for point in overload["points"] if point["of_knee"] >= 1]
    slope, most = statistics.linear_regression(
        [point["offered"] - point["goodput"] for point in beyond],
        [point["goodput"] for point in beyond],
    )
    return -slope * threads / most


def read(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """Read a recorded benchmark."""
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def median(samples: list[dict[str, float]], key: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(sample[key] for sample in samples)
