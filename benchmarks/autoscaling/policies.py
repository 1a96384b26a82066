"""What decides how many replicas there are: the shipped thresholds, and others to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import yaml

from service.calibrate.thresholds import as_yaml
from service.core.calibration import Calibrated, Machine


class Kind(StrEnum):
    """How a number becomes replicas; see ``hpa``."""

    AVERAGE = "AverageValue"
    VALUE = "Value"
    CPU = "Utilization"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Trigger:
    """``query``: a method of ``Prometheus``; CPU comes from the metrics server instead."""

    query: str
    kind: Kind
    target: float
    arguments: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The highest proposal of its triggers counts; ``fixed``: no scaling at all."""

    name: str
    triggers: tuple[Trigger, ...] = ()
    fixed: int = 0

    def but(self, name: str, query: str, target: float) -> Policy:
        """The same with another target of one trigger."""
        changed = (replace(t, target=target) if t.query == query else t for t in self.triggers)
        return Policy(name, tuple(changed))

    def without(self, *queries: str) -> Policy:
        """The same without some triggers."""
        left = tuple(trigger for trigger in self.triggers if trigger.query not in queries)
        return Policy(f"{self.name} without {', '.join(queries)}", left)


ONE = 1.0
"""A target must be above zero: with one rejection for a replica any number of them asks for as many
replicas as may be added at once."""


def document(found: Calibrated, machine: Machine) -> dict[str, Any]:
    """The thresholds as an operator gets them."""
    read: dict[str, Any] = yaml.safe_load(as_yaml("model", found, machine))
    return read


def shipped(thresholds: dict[str, Any]) -> Policy:
    """Every trigger of the document."""
    triggers = thresholds["triggers"]
    return Policy(
        "thresholds",
        (
            Trigger("in_flight", Kind.AVERAGE, triggers["in_flight"]["target"]),
            Trigger("queue_wait", Kind.VALUE, triggers["queue_wait"]["threshold_seconds"]),
            Trigger("queue_ratio", Kind.VALUE, triggers["queue_ratio"]["threshold"]),
            Trigger("rejections", Kind.AVERAGE, triggers["rejections"]["threshold"] or ONE),
            Trigger("cpu", Kind.CPU, triggers["cpu"]["utilisation_percent"] / 100),
        ),
    )
