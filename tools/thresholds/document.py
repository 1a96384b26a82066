"""The document of ``potoo calibrate``: the parts used for rules and manifests."""

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
    """Return the query without line breaks, which Prometheus ignores."""
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
# Ranges of HorizontalPodAutoscaler.
Window = Annotated[int, Field(ge=0, le=3600)]
Period = Annotated[int, Field(ge=1, le=1800)]


class _Part(BaseModel):
    """Base of the document's parts; unknown keys are for people, simulators and dashboards."""

    model_config = ConfigDict(frozen=True, strict=True)


class MeasuredOn(_Part):
    """The measured machine."""

    processor: str
    cores: Annotated[int, Field(ge=1, le=4096)]


class Replica(_Part):
    """Configuration of the measured server."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    settings: dict[str, Any]

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        RunSettings.model_validate(settings)
        return settings


class Objective(_Part):
    """The latency objective."""

    p95_seconds: Positive


class Capacity(_Part):
    """Capacity of one replica at its knee."""

    in_flight: Count


class InFlight(_Part):
    """Trigger on images in flight or waiting."""

    target: Count
    query: Query


class Demand(_Part):
    """Trigger on images requested a second, including refused ones."""

    target_per_second: Positive
    query: Query


class Rejections(_Part):
    """Trigger on requests refused for lack of capacity."""

    threshold: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
    query: Query


class Cpu(_Part):
    """Trigger on CPU utilisation, in addition to the others."""

    utilisation_percent: Annotated[int, Field(ge=1, le=100)]


class Triggers(_Part):
    """The triggers of autoscaling."""

    in_flight: InFlight
    demand: Demand
    rejections: Rejections
    cpu: Cpu


class QueueWait(_Part):
    """Alert on the wait in the queue: too few replicas for minutes."""

    threshold_seconds: Positive


class Alerts(_Part):
    """The thresholds of alerts."""

    queue_wait: QueueWait


class ScaleUp(_Part):
    """Largest increase in a period: the greater of ``percent`` and ``pods``."""

    stabilisation_seconds: Window
    percent: Count
    pods: Count
    period_seconds: Period


class ScaleDown(_Part):
    """Largest decrease in a period."""

    stabilisation_seconds: Window
    percent: Annotated[int, Field(ge=1, le=100)]
    period_seconds: Period


class Behaviour(_Part):
    """Bounds and rates of scaling."""

    min_replicas: Replicas
    # A step within the autoscaler's tolerance of 10 % would have no effect.
    step_percent: Annotated[int, Field(gt=10, le=1000)]
    scale_up: ScaleUp
    scale_down: ScaleDown


class Thresholds(_Part):
    """The whole document."""

    model: ModelName
    objective: Objective
    measured_on: MeasuredOn
    replica: Replica
    capacity: Capacity
    triggers: Triggers
    alerts: Alerts
    behaviour: Behaviour


class Site(_Part):
    """The operator's choices, which are not measured: where the replicas run, and how many."""

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
    """Read the document in a file.

    Raises:
        BadThresholds: the file cannot be used; the message names it and its first fault.
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
    """Validate the operator's choices against the measurements.

    Raises:
        BadThresholds: a choice is not valid or does not fit; the message names it.
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
    """Describe the first fault in one line."""
    if isinstance(error, UnicodeDecodeError):
        return "this is not UTF-8"
    if isinstance(error, RecursionError):
        return "this is nested too deeply"
    text = first_fault(error, "it") if isinstance(error, ValidationError) else str(error)
    return " ".join(text.split())
