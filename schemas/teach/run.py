"""Runs: one teaching of a dataset, from its labels to a candidate version of a model."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

from schemas.classify import MODEL_NAME_PATTERN
from schemas.teach.dataset import DatasetName
from schemas.teach.verdict import Verdict

DEFAULT_BASE = "imagenet"
"""The base if none is named and the repository has it; else the default model."""
RUN_ID_PATTERN = r"^[0-9a-f]{20}$"
RunId = Annotated[str, StringConstraints(pattern=RUN_ID_PATTERN)]
_ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]


class RunState(StrEnum):
    """Where a run is. Labels a metric."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    FITTING = "fitting"
    JUDGING = "judging"
    GRAFTING = "grafting"
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunFailure(StrEnum):
    """Why a run failed. Labels a metric."""

    NOT_ENOUGH_LABELS = "not_enough_labels"
    """Fewer than two classes have photos."""
    PHOTOS_UNREADABLE = "photos_unreadable"
    """So few photos can be read that fewer than two classes are left."""
    PHOTOS_MISSING = "photos_missing"
    """Files of photos are not there."""
    FEATURES_INVALID = "features_invalid"
    """The base gives numbers that are not finite."""
    BASE_MISSING = "base_missing"
    BASE_CHANGED = "base_changed"
    """The base was replaced since the run began."""
    BASE_UNSUITABLE = "base_unsuitable"
    """The base takes no images, or has no features that a head can read."""
    DIFFERS = "differs"
    """The graph with the head does not compute what was fitted."""
    REFUSED = "refused"
    """The version did not pass the checks of the server."""
    DISK_FULL = "disk_full"
    PROCESS_ENDED = "process_ended"
    """The process that teaches, or the server, was ended several times."""
    INTERNAL = "internal"


class RunOptions(BaseModel):
    """Options of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: _ModelName = Field(description="Model that gets the new version; made if it is new.")
    base: _ModelName | None = Field(
        default=None,
        description=f"Model whose features are used. If absent: {DEFAULT_BASE}, or the default "
        "model if the server has no such model.",
    )
    base_version: PositiveInt | None = Field(
        default=None, description="If absent: the default version."
    )
    feature: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Tensor of the base's graph to use. If absent: the one that its last linear "
        "layer reads.",
    )
    promote: bool = Field(
        default=False,
        description="Make the version the default one of its model; needs the scope models:write. "
        "The first version of a model is its default in any case.",
    )
    class_weights: Literal["balanced", "none"] = Field(
        default="balanced", description="balanced: each class counts alike, however many photos."
    )
    precision: float = Field(
        default=0.95, gt=0.5, lt=1, description="Share of right answers that the threshold keeps."
    )
    foreign: DatasetName | None = Field(
        default=None,
        description="Dataset of photos that show nothing of the classes: the verdict says how many "
        "of them are answered.",
    )


class RunProgress(BaseModel):
    """Photos whose features are there, of all."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)


class RunBase(BaseModel):
    """The base of a run."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    sha256: str = Field(description="Digest of its graph.")
    tensor: str | None = Field(default=None, description="The features. null: not found yet.")


class SkippedPhoto(BaseModel):
    """A labelled photo that the run left out."""

    model_config = ConfigDict(frozen=True)

    photo: str = Field(description="Its id.")
    reason: str


class RunError(BaseModel):
    """Why a run failed."""

    model_config = ConfigDict(frozen=True)

    code: RunFailure
    detail: str


class RunSummary(BaseModel):
    """A run without its verdict."""

    id: str
    dataset: str
    model: str
    state: RunState
    progress: RunProgress | None = Field(description="null before features are computed.")
    base: RunBase | None
    version: int | None = Field(description="The version that it published.")
    promoted: bool = Field(description="Whether the version was to become the default one.")
    created: datetime
    changed: datetime
    created_by: str
    error: RunError | None


class Run(RunSummary):
    """A run."""

    skipped: list[SkippedPhoto]
    verdict: Verdict | None


class RunList(BaseModel):
    """Runs of a dataset, the newest first."""

    runs: list[RunSummary]
