"""The document that ``potoo calibrate`` writes, as far as rules and manifests are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.models import ModelName
from schemas.operator_error import first_fault
from service.core.settings import RunSettings


class BadThresholds(Exception):
    """The document cannot be used; the message is one line for people."""


def _one_line(query: str) -> str:
    """The query without line breaks, which mean nothing to Prometheus."""
    query = " ".join(query.split())
    if not query or not query.isprintable():
        raise ValueError("this must be a query")
    if "<<" in query:
        raise ValueError("'<<' means something to prometheus-adapter")
    return query


Query = Annotated[str, Field(max_length=2000), AfterValidator(_one_line)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Replicas = Annotated[int, Field(ge=1, le=10_000)]
# What HorizontalPodAutoscaler takes.
Window = Annotated[int, Field(ge=0, le=3600)]
Period = Annotated[int, Field(ge=1, le=1800)]


class _Part(BaseModel):
    """Keys that are not known are for others: people, simulators, dashboards."""

    model_config = ConfigDict(frozen=True, strict=True)


class MeasuredOn(_Part):
    """The machine."""

    processor: str
    cores: Annotated[int, Field(ge=1, le=4096)]


class Replica(_Part):
    """How the measured server ran."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    settings: dict[str, Any]

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        RunSettings.model_validate(settings)
        return settings


class Objective(_Part):
    """What is promised."""

    p95_seconds: Positive


class Capacity(_Part):
    """Of one replica at its knee."""

    in_flight: Count


class InFlight(_Part):
    """Images being worked on or waiting."""

    target: Count
    query: Query


class Demand(_Part):
    """Images asked for a second, refused ones among them."""

    target_per_second: Positive
    query: Query


class Rejections(_Part):
    """Refused for want of capacity."""

    threshold: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
    query: Query


class Cpu(_Part):
    """What accompanies."""

    utilisation_percent: Annotated[int, Field(ge=1, le=100)]


class Triggers(_Part):
    """What replicas are added for."""

    in_flight: InFlight
    demand: Demand
    rejections: Rejections
    cpu: Cpu


class QueueWait(_Part):
    """Too few replicas for minutes."""

    threshold_seconds: Positive


class Alerts(_Part):
    """What somebody is told of."""

    queue_wait: QueueWait


class ScaleUp(_Part):
    """At most so many more in a period: whichever is more."""

    stabilisation_seconds: Window
    percent: Count
    pods: Count
    period_seconds: Period


class ScaleDown(_Part):
    """At most so many fewer in a period."""

    stabilisation_seconds: Window
    percent: Annotated[int, Field(ge=1, le=100)]
    period_seconds: Period


class Behaviour(_Part):
    """How fast."""

    min_replicas: Replicas
    # Less than the autoscaler's tolerance of 10 % would change nothing.
    step_percent: Annotated[int, Field(gt=10, le=1000)]
    scale_up: ScaleUp
    scale_down: ScaleDown


class Thresholds(_Part):
    """The document."""

    model: ModelName
    objective: Objective
    measured_on: MeasuredOn
    replica: Replica
    capacity: Capacity
    triggers: Triggers
    alerts: Alerts
    behaviour: Behaviour


class Site(_Part):
    """What no measurement tells: where it runs, and how much of it there may be."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] = "potoo"
    prometheus: Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$", max_length=500)]
    usual_peak: Replicas
    max_replicas: Replicas

    @model_validator(mode="after")
    def _peak_fits(self) -> Self:
        if self.usual_peak > self.max_replicas:
            raise ValueError("the usual peak is more than max_replicas")
        return self


def read_thresholds(path: Path) -> Thresholds:
    """The document in a file.

    Raises:
        BadThresholds: naming the file and what is wrong with it first.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Thresholds.model_validate(data)
    except OSError as error:
        raise BadThresholds(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadThresholds(f"{path}: {_told(error)}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadThresholds(f"{path}: this is not YAML{where}") from error


def site(thresholds: Thresholds, **given: object) -> Site:
    """What the operator says, if it fits what was measured.

    Raises:
        BadThresholds: saying what does not fit.
    """
    try:
        found = Site.model_validate(given)
    except ValidationError as error:
        raise BadThresholds(_told(error)) from error
    if found.usual_peak < thresholds.behaviour.min_replicas:
        raise BadThresholds(
            f"usual_peak: {found.usual_peak} is less than the least number of replicas, "
            f"{thresholds.behaviour.min_replicas}"
        )
    return found


def _told(error: Exception) -> str:
    """One line about the first thing that is wrong."""
    if isinstance(error, UnicodeDecodeError):
        return "this is not UTF-8"
    if isinstance(error, RecursionError):
        return "this is nested too deeply"
    text = first_fault(error, "it") if isinstance(error, ValidationError) else str(error)
    return " ".join(text.split())
