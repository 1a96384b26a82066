"""Sensors whose samples the server classifies: configuration, state, results and events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.classify import MODEL_NAME_PATTERN, Prediction

SENSOR_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
SensorName = Annotated[str, StringConstraints(pattern=SENSOR_NAME_PATTERN)]
MAX_EPOCH = 2**63 - 1
MAX_SEQUENCE = 2**63 - 1

GapPolicy = Literal["drop", "hold", "interpolate"]
"""Treatment of missing samples: windows that lack one are dropped; or up to ``gap_samples``
missing ones are filled with the last sample, or by linear interpolation."""


class SensorStatus(StrEnum):
    """Whether samples arrive."""

    WAITING = "waiting"
    """No sample yet."""
    RECEIVING = "receiving"
    SILENT = "silent"
    """The last sample is older than `silent_after_seconds`."""
    PAUSED = "paused"


class SensorFault(StrEnum):
    """Why samples or windows were not classified. Labels a metric."""

    NOT_FINITE = "not_finite"
    """NaN or infinity, with a model whose manifest refuses them."""
    GAP = "gap"
    """Samples are missing, and the gap policy does not fill them."""
    LATE = "late"
    """The window is older than `late_after_seconds`."""
    WRONG_CHANNELS = "wrong_channels"
    BAD_DATA = "bad_data"
    """The message cannot be parsed: checksum, framing, JSON, line protocol, compression."""
    TOO_LARGE = "too_large"
    DUPLICATE = "duplicate"
    """The samples arrived before: a replay."""
    STALE_EPOCH = "stale_epoch"
    """The epoch is older than the newest one of the sensor."""
    IN_USE = "in_use"
    """Another device sends under this name."""
    OVERLOADED = "overloaded"
    MODEL = "model"
    """The model is missing, takes another shape, or failed on the window."""


class SensorSpec(BaseModel):
    """Configuration of a sensor: float32 little-endian samples, one number for each channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(ge=1, le=1024, description="Numbers in each sample.")
    rate: float = Field(gt=0, le=10_000_000, description="Samples a second.")
    model: str = Field(
        pattern=MODEL_NAME_PATTERN, description="A model whose manifest has an input of series."
    )
    window: int | None = Field(
        default=None,
        ge=1,
        le=1_048_576,
        description="Samples in a window. If absent: the length that the model takes.",
    )
    stride: int | None = Field(
        default=None,
        ge=1,
        le=1_048_576,
        description="Samples between the starts of two windows. If absent: the window's length.",
    )
    gap: GapPolicy = "drop"
    gap_samples: int = Field(
        default=0, ge=0, le=65_536, description="Missing samples that are filled at most."
    )
    late_after_seconds: float | None = Field(
        default=None,
        gt=0,
        le=31_536_000,
        description="Windows whose last sample is older on arrival are dropped. If absent: none.",
    )
    agree: int = Field(default=1, ge=1, le=100, description="Windows that must agree on a state...")
    of: int = Field(default=1, ge=1, le=100, description="...among the last windows.")
    enter_score: float = Field(
        default=0.5, ge=0, le=1, description="Score from which a label may become the state."
    )
    leave_score: float = Field(
        default=0.35, ge=0, le=1, description="The state holds while its label has this score."
    )
    silent_after_seconds: float = Field(
        default=30, ge=0.1, le=86_400, description="A sensor without samples for so long is silent."
    )

    @model_validator(mode="after")
    def _check(self) -> SensorSpec:
        if self.agree > self.of:
            message = "agree is at most of"
            raise ValueError(message)
        if self.gap == "drop" and self.gap_samples:
            message = "gap_samples needs gap hold or interpolate"
            raise ValueError(message)
        return self


class NewSensor(SensorSpec):
    """A sensor to add."""

    name: SensorName


class SensorAnswer(BaseModel):
    """The model's answer for one window.

    ``epoch`` and ``first_sequence`` identify the window: a window that is sent again has the same.
    """

    epoch: int = Field(ge=0, le=MAX_EPOCH)
    first_sequence: int = Field(
        ge=0, le=MAX_SEQUENCE, description="Sequence number of the window's first sample."
    )
    label: str | None = Field(description="null: the model abstained.")
    score: float | None
    predictions: list[Prediction] = Field(description="Best first, at most 3.")
    model: str
    version: int
    at: datetime = Field(description="When the window was classified.")
    sampled_at: datetime | None = Field(
        description="Time of the window's last sample, by the device; null: it sends no times."
    )
    filled: int = Field(default=0, description="Samples that the gap policy filled.")

    @cached_property
    def text(self) -> str:
        """The answer as JSON, made once: it is stored, and sent in several ways."""
        return self.model_dump_json()


class SensorCounts(BaseModel):
    """Counts since this process began to receive."""

    samples: int = 0
    windows: int = 0
    gaps: int = 0
    missing: int = Field(default=0, description="Samples that never arrived.")
    faults: dict[SensorFault, int] = {}


class Sensor(BaseModel):
    """A sensor and its state."""

    name: SensorName
    spec: SensorSpec
    status: SensorStatus
    state: str | None = Field(description="null before the first agreement.")
    since: datetime | None
    answer: SensorAnswer | None = Field(description="Of the last window.")
    last_sample_at: datetime | None = Field(description="Arrival of the last sample.")
    measured_rate: float | None = Field(description="Samples a second, over the last seconds.")
    lag_seconds: float | None = Field(
        description="From arrival of a window's last sample to its answer; the newest window."
    )
    is_configured: bool = Field(
        default=False, description="The server's configuration has it: it cannot be changed here."
    )
    door: Literal["tcp", "raw_tcp", "mqtt", "http"] | None = Field(
        description="How the last samples arrived."
    )
    fault: SensorFault | None = Field(description="The last one; null after an answer.")
    counts: SensorCounts


class SensorList(BaseModel):
    """All sensors, by name."""

    sensors: list[Sensor]


class SensorResults(BaseModel):
    """Kept answers of a sensor, oldest first."""

    results: list[SensorAnswer]
    next: int = Field(description="Cursor: `after` of the next request.")


class SensorGap(BaseModel):
    """Samples that never arrived."""

    epoch: int
    first_sequence: int = Field(description="Sequence number of the first missing sample.")
    missing: int = Field(description="Number of missing samples.")


class SensorWindow(BaseModel):
    """A window, coarse enough to be drawn."""

    epoch: int
    first_sequence: int
    length: int = Field(description="Samples.")
    low: list[list[float | None]] = Field(
        description="For each channel the minima of at most 256 equal parts, oldest first. null: "
        "no finite sample."
    )
    high: list[list[float | None]] = Field(description="The maxima of the same parts.")
    filled: int = Field(description="Samples that the gap policy filled.")
    answer: SensorAnswer | None


class SensorWindows(BaseModel):
    """The last windows and gaps of a sensor, oldest first."""

    windows: list[SensorWindow] = Field(description="At most 8.")
    gaps: list[SensorGap] = Field(description="At most 20.")


class SensorEvent(BaseModel):
    """A change of a sensor."""

    id: int
    sensor: SensorName
    at: datetime
    kind: Literal["state", "silent", "back"]
    state: str | None
    previous: str | None
    score: float | None
    model: str | None
    version: int | None


class SensorEvents(BaseModel):
    """Kept events of a sensor, oldest first."""

    events: list[SensorEvent]
