"""Settings ``[teach]``: what datasets of photos may hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.teach.dataset import DATASET_NAME_PATTERN


class KeepRule(BaseModel):
    """Member of ``[[teach.keep]]``: photos worth a label that go into a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(pattern=DATASET_NAME_PATTERN, description="must exist")
    models: tuple[str, ...] = Field(
        default=(), max_length=100, description="whose answers count; empty: all"
    )
    cameras: tuple[str, ...] = Field(
        default=(), max_length=1000, description="whose frames are kept; `*`: all"
    )
    accounts: tuple[str, ...] = Field(
        default=(), max_length=1000, description="whose requests are kept; `*`: all"
    )
    below: float = Field(
        default=0.8, ge=0, le=1, description="keep photos whose first score is lower"
    )
    margin: float = Field(
        default=0.2, ge=0, le=1, description="or less above the second score than this"
    )
    per_hour: int = Field(default=20, ge=1, le=10_000, description="photos of one source kept")
    max_bytes: int = Field(
        default=2**30,
        ge=2**20,
        le=2**50,
        description="of kept photos without a label; beyond it the oldest are removed",
    )


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
    keep: tuple[KeepRule, ...] = Field(
        default=(), max_length=20, description="photos worth a label that are kept"
    )
