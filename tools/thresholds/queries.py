"""Prometheus queries of the autoscaler; each result is a number of replicas.

Each trigger is an ``AverageValue``: the autoscaler divides the result by the target and rounds up.
All versions of KEDA's fallback support this kind, and it does not depend on the current number of
replicas. Work in flight and demand are additive, so their sums are used as they are. Rejections
show that replicas are too few, not how many are missing: they request the ready ones and one step
more.

A missing result must stay missing, so that an autoscaler without data does not shrink the service;
no rejections are no reason to scale, and are 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.thresholds.document import Thresholds

# Quoted strings are not changed.
_PART = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b(?P<metric>potoo_\w+)(?P<brace>\s*\{\s*)?"""
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger, which requests ``query`` / ``target`` replicas, rounded up."""

    name: str
    query: str
    target: int | float


def triggers(thresholds: Thresholds, namespace: str) -> Iterator[Trigger]:
    """Yield the triggers that query Prometheus."""
    measured, step = thresholds.triggers, 1 + thresholds.behaviour.step_percent / 100
    model = f'model="{thresholds.model}"'
    ready = f"count(potoo_model_ready{{{model}}} == 1)"
    seen = f"0 * sum(potoo_queue_depth{{{model}}})"

    flight, demand, rejections = measured.in_flight, measured.demand, measured.rejections
    yield Trigger("in-flight", _scoped(flight.query, namespace), flight.target)
    yield Trigger("demand", _scoped(demand.query, namespace), demand.target_per_second)
    refused = f"({rejections.query}) > {rejections.threshold:g}"
    more = f"({step:g} * {ready} and {refused}) or {seen}"
    yield Trigger("rejections", _scoped(more, namespace), 1)


def _scoped(query: str, namespace: str) -> str:
    """Restrict a query to one namespace, so that staging's work does not scale production."""

    def scope(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found[0]
        matcher = f'{found["metric"]}{{namespace="{namespace}"'
        return f"{matcher}," if found["brace"] else f"{matcher}}}"

    return _PART.sub(scope, query)
