"""Settings ``[training]``: what sites that train together may send."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """Group ``[training]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_federations: int = Field(default=20, ge=0, le=10_000, description="federations; 0: none")
    max_sums_bytes: int = Field(
        default=16 * 2**20, ge=2**16, le=2**31, description="bytes of the sums of a site"
    )
    min_photos: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="least photos of an update; fewer would be shown by it",
    )
    min_class_photos: int = Field(
        default=3, ge=1, le=1_000_000, description="least photos of each class in sums"
    )
    max_parameter_runs: int = Field(
        default=20, ge=0, le=10_000, description="runs of the parameter server; 0: none"
    )
    max_parameter_bytes: int = Field(
        default=64 * 2**20, ge=2**10, le=2**32, description="bytes of the parameters of a run"
    )
