"""What an autoscaler asks Prometheus, so that every answer is a number of replicas.

Each trigger is an ``AverageValue``: the autoscaler divides the answer by the target and rounds up.
That is the one kind that KEDA's fallback knows in all its versions, and it does not depend on how
many replicas there are at that moment. Work in flight and demand add up, so their sums do as they
are. Rejections say that there are too few, not how many: they ask for those that are ready and a
step more.

An answer that is missing must stay missing, so that a blind autoscaler does not shrink the service;
no rejections are no reason to scale, and are 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.thresholds.document import Thresholds

# Quoted strings are let alone.
_PART = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b(?P<metric>potoo_\w+)(?P<brace>\s*\{\s*)?"""
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """``query`` / ``target``, rounded up, is the number of replicas that it asks for."""

    name: str
    query: str
    target: int | float


def triggers(thresholds: Thresholds, namespace: str) -> Iterator[Trigger]:
    """All that ask Prometheus."""
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
    """Of the pods of one namespace: staging's work must not scale production."""

    def scope(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found[0]
        matcher = f'{found["metric"]}{{namespace="{namespace}"'
        return f"{matcher}," if found["brace"] else f"{matcher}}}"

    return _PART.sub(scope, query)
