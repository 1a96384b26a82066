"""Simulation of one trace, policy and seed: replicas, proxy, Prometheus and autoscaler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from tools.autoscaling import hpa
from tools.autoscaling.agenda import Agenda
from tools.autoscaling.books import Books
from tools.autoscaling.cluster import Cluster
from tools.autoscaling.costs import Cost
from tools.autoscaling.policies import Kind, Policy, Trigger
from tools.autoscaling.prometheus import SCRAPE_SECONDS, Prometheus
from tools.autoscaling.replica import TIMEOUT, Replica, Request
from tools.autoscaling.traces import Arrivals

METRICS_SERVER_SECONDS = 15.0
POLL_SECONDS = 10.0
"""Interval of KEDA's queries, cached for the autoscaler (``useCachedMetrics``)."""
FIRST_SCRAPE, FIRST_SAMPLE, FIRST_POLL, FIRST_SYNC = 2.0, 7.0, 5.0, 11.0
"""Offsets of the clocks, which do not agree in a cluster."""
DRAW = 4096
END_SECONDS = 30.0
"""Time after the trace to answer accepted requests."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the autoscaler: replicas, and ``behaviour`` of the thresholds."""

    behaviour: dict[str, Any]
    most: int = 20

    @property
    def least(self) -> int:
        """Minimum number of replicas."""
        return int(self.behaviour["min_replicas"])

    @property
    def step(self) -> float:
        """Largest factor on the ready replicas for a trigger of kind ``STEP``."""
        return 1 + float(self.behaviour["step_percent"]) / 100

    def follower(self) -> hpa.Behaviour:
        """Build a new rate limiter."""
        return hpa.Behaviour(
            _direction(self.behaviour["scale_up"]),
            _direction(self.behaviour["scale_down"]),
            self.least,
            self.most,
        )


def _direction(values: dict[str, float]) -> hpa.Direction:
    return hpa.Direction(
        values["stabilisation_seconds"],
        values["percent"],
        int(values.get("pods", 0)),
        values["period_seconds"],
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """State at one scrape: replicas requested and ready, images in flight for each ready one."""

    at: float
    size: int
    ready: int
    depth: float


@dataclass(slots=True)
class Run:
    """Outcome of a simulation."""

    books: Books
    pod_seconds: float = 0.0
    seconds: float = 0.0
    moments: list[Moment] = field(default_factory=list)


class Simulation:
    """Simulation of one run. ``timeout``: of every request, in seconds."""

    def __init__(
        self, cost: Cost, policy: Policy, bounds: Bounds, seed: int, timeout: float = TIMEOUT
    ) -> None:
        self._cost, self._policy, self._timeout = cost, policy, timeout
        self._agenda, self._books = Agenda(), Books()
        self._prometheus = Prometheus()
        self._answers: dict[Trigger, float | None] = {}
        self._used: dict[Replica, float] = {}
        self._shares: list[float] = []
        self._follower, self._step = bounds.follower(), bounds.step
        services = draws(cost, seed)
        self._cluster = Cluster(
            self._agenda,
            lambda: Replica(cost, services, self._agenda, self._books),
            cost.ready,
            Random(seed),
            policy.fixed or bounds.least,
        )
        self._run = Run(self._books)

    def run(self, arrivals: Arrivals) -> Run:
        """Simulate from the first arrival to the last answer."""
        self._agenda.every(SCRAPE_SECONDS, self._scrape, FIRST_SCRAPE)
        if not self._policy.fixed:
            self._agenda.every(METRICS_SERVER_SECONDS, self._sample_cpu, FIRST_SAMPLE)
            self._agenda.every(POLL_SECONDS, self._poll, FIRST_POLL)
            self._agenda.every(hpa.SYNC_SECONDS, self._sync, FIRST_SYNC)
        run_until, route = self._agenda.run_until, self._cluster.route
        factor = self._cost.large / self._cost.service
        requests = zip(arrivals.times, arrivals.owners, arrivals.large, strict=True)
        for at, owner, is_large in requests:
            run_until(at)
            route(at, Request(at, at + self._timeout, owner, factor if is_large else 1.0))
        self._run.seconds = float(len(arrivals.rates))
        self._agenda.run_until(self._run.seconds)
        self._run.pod_seconds = self._cluster.pod_seconds(self._run.seconds)
        self._agenda.run_until(self._run.seconds + END_SECONDS)
        return self._run

    def _scrape(self, now: float) -> None:
        cluster = self._cluster
        depths = [replica.depth for replica in cluster.ready]
        self._prometheus.scraped(depths, self._books.counted())
        each = cluster.depth / len(cluster.ready)
        self._run.moments.append(Moment(now, cluster.size, len(cluster.ready), each))

    def _sample_cpu(self, now: float) -> None:
        """Sample CPU of pods known a sample ago, as a share of their request, a core a thread."""
        del now
        request = METRICS_SERVER_SECONDS * self._cost.threads
        before = self._used
        self._used = {replica: replica.cpu for replica in self._cluster.ready}
        self._shares = [
            (used - before[replica]) / request
            for replica, used in self._used.items()
            if replica in before
        ]

    def _poll(self, now: float) -> None:
        del now
        for trigger in self._policy.triggers:
            if trigger.kind is not Kind.CPU:
                answer = self._prometheus.ask(trigger.query, *trigger.arguments)
                if trigger.kind is Kind.STEP and answer is not None:
                    share = min(answer / trigger.target, self._step)
                    answer = share * len(self._cluster.ready)
                self._answers[trigger] = answer

    def _sync(self, now: float) -> None:
        current = self._cluster.size
        proposals = [self._proposal(trigger, current) for trigger in self._policy.triggers]
        known = [proposal for proposal in proposals if proposal is not None]
        if not known:
            return
        proposal = max(known)
        if len(known) < len(proposals):
            proposal = max(proposal, current)  # nothing is removed while a metric is missing
        self._cluster.scale(now, self._follower.follow(now, current, proposal))

    def _proposal(self, trigger: Trigger, current: int) -> int | None:
        if trigger.kind is Kind.CPU:
            shares = self._shares[:current]
            return hpa.of_utilisation(shares, trigger.target, current) if shares else None
        answer = self._answers.get(trigger)
        if answer is None:
            return None
        if trigger.kind is Kind.VALUE:
            return hpa.of_value(answer, trigger.target, current, len(self._cluster.ready))
        target = 1.0 if trigger.kind is Kind.STEP else trigger.target
        return hpa.of_average_value(answer, target, current)


def draws(cost: Cost, seed: int) -> Iterator[float]:
    """Yield service times: log-normal with the measured mean and spread."""
    random = np.random.default_rng([seed, 1])
    middle = np.log(cost.service) - cost.spread**2 / 2
    while True:
        yield from random.lognormal(middle, cost.spread, DRAW).tolist()
