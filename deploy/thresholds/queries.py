"""What an autoscaler asks Prometheus, so that every answer is a number of replicas.

Each trigger is an ``AverageValue``: the autoscaler divides the answer by the target and rounds up.
That is the one kind that KEDA's fallback knows in all its versions, and it does not depend on how
many replicas there are at that moment. Work in flight adds up, so its sum does as it is. The others
are ratios, turned into replicas: those that are ready times value / threshold, but at most a step
more. They remember a minute, so that each look within it would multiply once more.

An answer that is missing must stay missing, so that a blind autoscaler does not shrink the service;
one that is not a number (a quantile of no requests) is no reason to scale, and is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.thresholds.document import Thresholds

# Quoted strings are let alone.
_PART = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b(?P<metric>potoo_\w+)(?P<brace>\s*\{\s*)?"""
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """``query`` / ``target``, rounded up, is the number of replicas that it asks for."""

    name: str
    query: str
    target: int


def triggers(thresholds: Thresholds, namespace: str) -> Iterator[Trigger]:
    """All that ask Prometheus, the primary one first."""
    measured, step = thresholds.triggers, 1 + thresholds.behaviour.step_percent / 100
    model = f'model="{thresholds.model}"'
    ready = f"count(potoo_model_ready{{{model}}} == 1)"
    seen = f"0 * sum(potoo_queue_depth{{{model}}})"

    def added(name: str, replicas: str) -> Trigger:
        return Trigger(name, _scoped(f"({replicas}) or {seen}", namespace), 1)

    def ratio(query: str, threshold: float) -> str:
        # Above 0: what is not a number compares as false.
        return f"clamp_max(({query}) / {threshold:g}, {step:g}) * {ready} > 0"

    first = measured.in_flight
    yield Trigger("in-flight", _scoped(first.query, namespace), first.target)
    wait, queue, rejections = measured.queue_wait, measured.queue_ratio, measured.rejections
    yield added("queue-wait", ratio(wait.query, wait.threshold_seconds))
    yield added("queue-ratio", ratio(queue.query, queue.threshold))
    refused = f"({rejections.query}) > {rejections.threshold:g}"
    yield added("rejections", f"{step:g} * {ready} and {refused}")


def _scoped(query: str, namespace: str) -> str:
    """Of the pods of one namespace: staging's work must not scale production."""

    def scope(found: re.Match[str]) -> str:
        if found["quoted"]:
            return found[0]
        matcher = f'{found["metric"]}{{namespace="{namespace}"'
        return f"{matcher}," if found["brace"] else f"{matcher}}}"

    return _PART.sub(scope, query)
