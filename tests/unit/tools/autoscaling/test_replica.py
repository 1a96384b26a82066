"""The simulated replica compared with queueing theory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tools.autoscaling import costs, one_replica
from tools.autoscaling.agenda import Agenda
from tools.autoscaling.books import LATE, REFUSED, Books
from tools.autoscaling.costs import Cost
from tools.autoscaling.replica import Replica, Request
from tools.autoscaling.simulation import draws

REQUESTS = 150_000
NEAR = 0.06
"""Relative tolerance of means over this many requests, with these seeds."""


def cost(threads: int, spread: float = 0.0, refusal: float = 0.0) -> Cost:
    """A service of one second on average."""
    return Cost("m", threads, 1.0, 5.0, spread, cpu=0.9, refusal=refusal, ready=1.0)


def exponential(seed: int) -> Iterator[float]:
    random = np.random.default_rng(seed)
    while True:
        yield from random.exponential(1.0, 4096).tolist()


def constant() -> Iterator[float]:
    while True:
        yield 1.0


def poisson(of: Cost, services: Iterator[float], rate: float, capacity: int = 10**6) -> Books:
    """Callers without a deadline."""
    agenda, books = Agenda(), Books()
    replica = Replica(of, services, agenda, books, capacity)
    now = 0.0
    for gap in np.random.default_rng(7).exponential(1 / rate, REQUESTS).tolist():
        now += gap
        agenda.run_until(now)
        replica.offer(now, Request(now, math.inf, "caller"))
    agenda.run_until(math.inf)
    assert len(books.latency) == REQUESTS
    return books


def waited(books: Books) -> float:
    return float(np.mean(books.latency)) - 1.0


def erlang_c(servers: int, load: float) -> float:
    """The probability of having to wait."""
    terms = [load**n / math.factorial(n) for n in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 0.8])
def test_single_thread_waits_like_an_mm1_queue(load: float) -> None:
    books = poisson(cost(1), exponential(1), load)
    assert waited(books) == pytest.approx(load / (1 - load), rel=NEAR)


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "load"), [(2, 0.7), (4, 0.85)])
def test_several_threads_wait_like_erlang_c(threads: int, load: float) -> None:
    books = poisson(cost(threads), exponential(1), threads * load)
    expected = erlang_c(threads, threads * load) / (threads * (1 - load))
    assert waited(books) == pytest.approx(expected, rel=NEAR)


@pytest.mark.slow
def test_constant_service_times_halve_the_wait() -> None:
    books = poisson(cost(1), constant(), 0.8)
    assert waited(books) == pytest.approx(0.8 / (2 * (1 - 0.8)), rel=NEAR)


@pytest.mark.slow
def test_measured_spread_waits_like_pollaczek_khinchine() -> None:
    spread = 0.5
    books = poisson(cost(1), draws(cost(1, spread), 3), 0.8)
    second_moment = math.exp(spread**2)
    assert waited(books) == pytest.approx(0.8 * second_moment / (2 * (1 - 0.8)), rel=NEAR)


def test_full_queue_refuses_like_an_mm1k_queue() -> None:
    load, capacity = 1.2, 10
    books = poisson(cost(1), exponential(1), load, capacity)
    expected = (1 - load) * load**capacity / (1 - load ** (capacity + 1))
    refused = float((np.asarray(books.latency) == REFUSED).mean())
    assert refused == pytest.approx(expected, rel=NEAR)


def test_flooding_caller_does_not_delay_others() -> None:
    measured = costs.measured("everyday")
    agenda, books = Agenda(), Books()
    replica = Replica(measured, draws(measured, 1), agenda, books)
    both = [(n / (3 * measured.per_second), "flood") for n in range(6000)]
    both += [(n / 50, "other") for n in range(150)]
    for at, owner in sorted(both):
        agenda.run_until(at)
        replica.offer(at, Request(at, at + 0.2, owner))
    agenda.run_until(10)
    others = [
        latency
        for latency, owner in zip(books.latency, books.owner, strict=True)
        if owner == "other"
    ]
    assert len(others) == 150
    assert sum(0 <= latency <= 0.05 for latency in others) >= 0.98 * len(others)


def closed(capacity: int, patience: float) -> tuple[Books, list[int]]:
    """Five clients of two threads for 40 s; the outcomes, and how often each has sent."""
    agenda, books, sent = Agenda(), Books(), [0] * 5
    replica = Replica(cost(2, refusal=0.1), constant(), agenda, books, capacity)

    def client(number: int) -> None:
        def send(now: float) -> None:
            sent[number] += 1
            replica.offer(now, Request(now, now + patience, str(number), on_end=send))

        agenda.add(0.0, send)

    for number in range(5):
        client(number)
    agenda.run_until(40)
    return books, sent


def test_a_refused_client_of_a_closed_loop_sends_again() -> None:
    books, sent = closed(capacity=2, patience=1000)
    assert REFUSED in books.latency
    assert min(sent) > 10, "each of them goes on"


def test_a_dropped_client_of_a_closed_loop_sends_again() -> None:
    books, sent = closed(capacity=100, patience=1.5)
    assert LATE in books.latency
    assert min(sent) > 10


@pytest.mark.slow
@pytest.mark.parametrize("model", ["everyday", "resnet50"])
def test_simulation_matches_the_measured_server(model: str) -> None:
    beside = one_replica.beside_server(costs.measured(model))
    assert beside["closed"]
    for load in beside["closed"]:
        if load["clients"] > 1:  # alone, an image of a large model gets every core
            measured, simulated = load["measured"], load["simulated"]
            assert simulated["per_second"] == pytest.approx(measured["per_second"], rel=0.05)
            assert simulated["p50_ms"] == pytest.approx(measured["p50_ms"], rel=0.05)
    for load in beside["open"]:
        measured, simulated = load["measured"]["per_second"], load["simulated"]["per_second"]
        assert simulated == pytest.approx(measured, rel=0.08)


@pytest.mark.slow
def test_knee_just_meets_the_objective() -> None:
    measured = costs.measured("everyday")
    knee = one_replica.knee(measured, 0.2)
    # Little's law: as many as are answered in that time.
    assert knee.in_flight == pytest.approx(0.2 * measured.per_second, rel=0.1)
    assert knee.p95 <= 0.2 < one_replica.closed_loop(measured, knee.in_flight * 2).p95_ms / 1000
