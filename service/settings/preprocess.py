"""Settings ``[preprocess]``: limits of what one call may have prepared."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PreprocessSettings(BaseModel):
    """Group ``[preprocess]``; ``[limits]`` hold too, such as those of bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_items: int = Field(
        default=10_000, ge=1, le=10_000_000, description="items in one call of many"
    )
    items_at_a_time: int = Field(
        default=8, ge=1, le=256, description="items of one call that are prepared side by side"
    )
    max_rows: int = Field(
        default=1_000_000, ge=1, le=100_000_000, description="rows of numbers in one item"
    )
    max_columns: int = Field(default=1024, ge=1, le=65_536, description="numbers in one row")
    max_cell_characters: int = Field(
        default=256, ge=1, le=65_536, description="characters of one cell of CSV"
    )
    max_distinct: int = Field(
        default=10_000,
        ge=0,
        le=1_000_000,
        description="distinct numbers of a column that sums keep, for medians and quartiles",
    )
    max_texts: int = Field(default=256, ge=1, le=4096, description="texts in one item")
    max_text_characters: int = Field(
        default=20_000, ge=1, le=10_000_000, description="characters of one text"
    )
