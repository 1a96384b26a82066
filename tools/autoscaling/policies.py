"""Autoscaling policies: the shipped thresholds, and others for comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import yaml

from service.calibrate.search import KneeFound
from service.calibrate.thresholds import (
    BUSY_SHARE,
    MOST_TARGETS,
    QUEUE_SHARE,
    TARGET_SHARE,
    as_yaml,
)
from service.core.serving.calibration import Calibrated, Knee, Machine
from service.core.settings import RunSettings
from tools.autoscaling.costs import Cost

SHIPPED, CPU_80, P95 = "thresholds", "CPU 80 %", "p95"
FIXED = "fixed at the peak"
PEAK_REPLICAS = 7
"""Replicas that carry the peak of all traces at ease."""


class Kind(StrEnum):
    """Conversion of a metric to replicas; see ``hpa``."""

    AVERAGE = "AverageValue"
    VALUE = "Value"
    CPU = "Utilization"
    STEP = "step"
    """Ready replicas times value / target, at most one step more, as an ``AverageValue``."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A scaling trigger. ``query``: a method of ``Prometheus``; CPU is from the metrics server."""

    query: str
    kind: Kind
    target: float
    arguments: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: the highest proposal of its triggers counts; ``fixed``: constant replicas."""

    name: str
    triggers: tuple[Trigger, ...] = ()
    fixed: int = 0

    def having(self, name: str, query: str, target: float) -> Policy:
        """Return this policy with another target for one trigger."""
        changed = (replace(t, target=target) if t.query == query else t for t in self.triggers)
        return Policy(name, tuple(changed))

    def without(self, name: str, *queries: str) -> Policy:
        """Return this policy without some triggers."""
        return Policy(name, tuple(t for t in self.triggers if t.query not in queries))

    def with_(self, name: str, *triggers: Trigger) -> Policy:
        """Return this policy with additional triggers."""
        return Policy(name, self.triggers + triggers)


ANY = 1e-9
"""Target for a threshold of 0, since a target must be above zero."""


@dataclass(frozen=True, slots=True)
class Site:
    """Cost of one model, with its knee and the thresholds ``document`` for operators."""

    cost: Cost
    objective: float
    knee: KneeFound
    document: dict[str, Any]

    @property
    def busy(self) -> float:
        """Images on a replica that counts as busy: ``BUSY_SHARE`` of the target in flight."""
        return float(BUSY_SHARE * self.document["triggers"]["in_flight"]["target"])

    def in_flight(self, share: float = TARGET_SHARE, most: float = MOST_TARGETS) -> Trigger:
        """Build a trigger for a share of C; each replica counts at most ``most`` targets."""
        target = max(1, int(share * self.knee.in_flight))
        return Trigger("in_flight", Kind.AVERAGE, target, (most * target,))


def site(cost: Cost, objective: float, knee: KneeFound) -> Site:
    """Build the thresholds that ``potoo calibrate`` would write for that knee."""
    found = Calibrated(
        version=1,
        sha256="0" * 64,
        objective_p95_ms=1000 * objective,
        knee=Knee(
            in_flight=knee.in_flight,
            images_per_second=knee.per_second,
            p95_ms=1000 * knee.p95,
        ),
        run=RunSettings(),
    )
    machine = Machine(processor="simulated", cores=cost.threads, onnxruntime="0")
    return Site(cost, objective, knee, yaml.safe_load(as_yaml(cost.model, found, machine)))


def shipped(where: Site) -> Policy:
    """Build the policy of the document's triggers, as ``tools/thresholds`` passes them to KEDA."""
    triggers = where.document["triggers"]
    flight, demand = triggers["in_flight"]["target"], triggers["demand"]["target_per_second"]
    utilisation = triggers["cpu"]["utilisation_percent"] / 100
    return Policy(
        SHIPPED,
        (
            Trigger("in_flight", Kind.AVERAGE, flight, (MOST_TARGETS * flight,)),
            Trigger("demand", Kind.AVERAGE, demand, (where.busy,)),
            Trigger(
                "rejections", Kind.STEP, triggers["rejections"]["threshold"] or ANY, (where.busy,)
            ),
            Trigger("cpu", Kind.CPU, utilisation),
        ),
    )


def compared(where: Site) -> list[Policy]:
    """List the shipped thresholds and the common alternatives."""
    ours = shipped(where)
    in_flight = where.in_flight(most=math.inf)
    before = ours.without("", "in_flight", "demand").having("", "cpu", 0.75).with_("", in_flight)
    return [
        ours,
        Policy("work in flight alone", (in_flight,)),
        before.with_("waiting, not demand", *_waiting(where, Kind.STEP)),
        before.with_("waiting, as ratios", *_waiting(where, Kind.VALUE)),
        Policy(CPU_80, (Trigger("cpu", Kind.CPU, 0.8),)),
        Policy("CPU 50 %", (Trigger("cpu", Kind.CPU, 0.5),)),
        Policy(P95, (Trigger("latency", Kind.VALUE, where.objective),)),
        Policy(FIXED, fixed=PEAK_REPLICAS),
    ]


def variants(where: Site) -> Iterator[Policy]:
    """Yield the shipped thresholds with one change each."""
    ours, capacity = shipped(where), where.knee.per_second
    others = ours.without("", "in_flight")
    yield ours
    for share in (0.5, 0.6, 0.8, 0.9):
        yield others.with_(f"in flight {share:.0%} of C", where.in_flight(share))
    for most in (3, 4, math.inf):
        yield others.with_(f"in flight up to {most:g}", where.in_flight(most=most))
    for share in (0.5, 0.6, 0.8, 0.9):
        yield ours.having(f"demand {share:.0%}", "demand", share * capacity)
    for share in (0.5, 0.7, 0.75):
        yield ours.having(f"CPU {share:.0%}", "cpu", share)
    for query in ("in_flight", "demand", "rejections", "cpu"):
        yield ours.without(f"without {query.replace('_', ' ')}", query)
    for share in (0.1, QUEUE_SHARE, 0.5):
        wait = Trigger("queue_wait", Kind.STEP, share * where.objective)
        yield ours.with_(f"and queue wait {share:.0%}", wait)
    for target in (0.5, 1.0, 2.0):
        yield ours.with_(f"and queue ratio {target:g}", Trigger("queue_ratio", Kind.STEP, target))
    yield ours.with_("and both as ratios", *_waiting(where, Kind.VALUE))


def _waiting(where: Site, kind: Kind) -> tuple[Trigger, ...]:
    return (
        Trigger("queue_wait", kind, QUEUE_SHARE * where.objective),
        Trigger("queue_ratio", kind, 1.0),
    )
