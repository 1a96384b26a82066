"""One simulated replica: its knee, and a comparison with measurements of the real server."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from service.calibrate.load import percentile
from service.calibrate.search import KneeFound, LoadPoint, find_knee
from tools.autoscaling import costs
from tools.autoscaling.agenda import Agenda
from tools.autoscaling.books import LATE, REFUSED, Books
from tools.autoscaling.costs import Cost
from tools.autoscaling.replica import QUEUE_CAPACITY, TIMEOUT, Replica, Request
from tools.autoscaling.simulation import draws

SECONDS = 20.0
OWNER = "caller"


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures of one replica under one load. Rates a second, times in milliseconds."""

    offered: float
    per_second: float
    refused: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def knee(cost: Cost, objective: float) -> KneeFound:
    """Find the capacity C of the simulated replica, as ``potoo calibrate`` does."""

    def measure(in_flight: int) -> LoadPoint:
        seen = closed_loop(cost, in_flight)
        return LoadPoint(seen.per_second, seen.p95_ms / 1000)

    return find_knee(measure, objective, QUEUE_CAPACITY, cost.threads)


def closed_loop(cost: Cost, clients: int, seconds: float = SECONDS, seed: int = 0) -> Seen:
    """Simulate clients that each send the next request after their answer."""
    agenda, books, replica = _one(cost, seed)

    def send(now: float) -> None:
        if now < seconds:
            replica.offer(now, Request(now, now + TIMEOUT, OWNER, on_end=send))

    for _ in range(clients):
        agenda.add(0.0, send)
    agenda.run_until(seconds + TIMEOUT)
    return _seen(books, seconds)


def open_loop(
    cost: Cost, rate: float, seconds: float = SECONDS, seed: int = 0, timeout: float = TIMEOUT
) -> Seen:
    """Simulate requests at a constant rate, evenly spaced as the load generator sends them."""
    agenda, books, replica = _one(cost, seed)
    for number in count():
        at = number / rate
        if at >= seconds:
            break
        agenda.run_until(at)
        replica.offer(at, Request(at, at + timeout, OWNER))
    agenda.run_until(seconds + timeout)
    return _seen(books, seconds)


def beside_server(cost: Cost) -> dict[str, list[dict[str, Any]]]:
    """Compare measured and simulated figures: by clients (closed loop) and by rate (open loop)."""
    recorded = costs.read(costs.SERVER)["models"][cost.model]["server"]
    closed = [
        {
            "clients": int(clients),
            "measured": {
                key: costs.median(samples, key) for key in ("per_second", "p50_ms", "p99_ms")
            },
            "simulated": _figures(closed_loop(cost, int(clients))),
        }
        for clients, samples in recorded.items()
    ]
    overload = costs.read(costs.OVERLOAD)
    if overload["model"] != cost.model:
        return {"closed": closed, "open": []}
    deadline = overload["deadline_ms"] / 1000
    opened = [
        {
            "offered": point["offered"],
            "measured": {
                "per_second": point["goodput"],
                "p50_ms": point["p50_ms"],
                "p99_ms": point["p99_ms"],
            },
            "simulated": _figures(open_loop(cost, point["offered"], timeout=deadline)),
        }
        for point in overload["points"]
    ]
    return {"closed": closed, "open": opened}


def _one(cost: Cost, seed: int) -> tuple[Agenda, Books, Replica]:
    agenda, books = Agenda(), Books()
    return agenda, books, Replica(cost, draws(cost, seed), agenda, books)


def _seen(books: Books, seconds: float) -> Seen:
    latencies = np.asarray(books.latency)
    good = (1000 * latencies[latencies >= 0]).tolist()
    return Seen(
        offered=len(latencies) / seconds,
        per_second=len(good) / seconds,
        refused=float(np.isin(latencies, (REFUSED, LATE)).sum()) / seconds,
        p50_ms=percentile(good, 50),
        p95_ms=percentile(good, 95),
        p99_ms=percentile(good, 99),
    )


def _figures(seen: Seen) -> dict[str, float]:
    return {key: round(getattr(seen, key), 2) for key in ("per_second", "p50_ms", "p99_ms")}
