"""Settings ``[teach]``: what datasets of photos may hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TeachSettings(BaseModel):
    """Group ``[teach]``; ``[limits]`` hold too, such as bytes and pixels of one photo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_datasets: int = Field(default=100, ge=0, le=10_000, description="datasets; 0: none")
    max_photos: int = Field(
        default=100_000, ge=1, le=10_000_000, description="photos that a dataset may have"
    )
    max_bytes: int = Field(
        default=20 * 2**30, ge=2**20, le=2**50, description="bytes that a dataset's photos may have"
    )
    max_import_bytes: int = Field(
        default=2 * 2**30,
        ge=2**20,
        le=2**40,
        description="bytes of an uploaded archive, and of what is in it",
    )
    max_import_files: int = Field(
        default=100_000, ge=1, le=10_000_000, description="files of one import"
    )
    keep_free_bytes: int = Field(
        default=2**30,
        ge=0,
        le=2**50,
        description="bytes of the disk that photos leave free",
    )
