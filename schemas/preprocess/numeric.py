"""Rows of numbers and their scaling, on the wire: rows in, scaled rows out; sums, scalers."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

from schemas.manifest.numeric import ScalerName

Method = Literal["standardise", "min-max", "robust"]
"""Offset and scale are the mean and the standard deviation of a column; its minimum and its range;
or its median and its interquartile range."""
ScalerKind = Literal["standard", "min-max", "robust"]
Impute = Literal["none", "mean", "median"]
"""Replacement of NaN before the scaling; with ``none``, NaN stays NaN."""
Separator = Literal["comma", "semicolon", "tab"]
Header = Literal["auto", "present", "absent"]
ColumnName = Annotated[str, StringConstraints(max_length=256)]
Number = Annotated[FiniteFloat, Field(strict=False)]
Pair = tuple[Number, Number]
"""An unevaluated sum of two float64, about 32 digits: the second is the rounding error."""
MAX_SUMS = 1000


class RowScaling(BaseModel):
    """Treatment of rows: a scaler, or a method; windows."""

    model_config = ConfigDict(extra="forbid")

    scaler: ScalerName | None = Field(
        default=None, description="A published scaler, NAME or NAME@VERSION."
    )
    method: Method | None = Field(
        default=None, description="A scaling without a scaler; neither: the rows stay as they are."
    )
    impute: Impute = Field(default="none", description="With a method: what replaces NaN.")
    window: int | None = Field(
        default=None, ge=1, le=1_048_576, description="Rows in a window of a series."
    )
    stride: int | None = Field(
        default=None, ge=1, le=1_048_576, description="Rows between the starts of two windows."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scaler is not None and self.method is not None:
            message = "give a scaler or a method, not both"
            raise ValueError(message)
        offset, scale = getattr(self, "offset", None), getattr(self, "scale", None)
        if (offset is None) != (scale is None):
            message = "offset and scale go together"
            raise ValueError(message)
        if self.method is None and (offset is not None or self.impute != "none"):
            message = "offset, scale and impute need a method"
            raise ValueError(message)
        if self.stride is not None and self.window is None:
            message = "stride needs window"
            raise ValueError(message)
        return self


class NumericOptions(RowScaling):
    """Options of ``POST /v1/preprocess/numeric``, in the query."""

    offset: str | None = Field(
        default=None,
        max_length=20_000,
        description="With a method: numbers with commas between them, one for each column, that "
        "are subtracted. Absent, with `scale`: those of the rows themselves.",
    )
    scale: str | None = Field(
        default=None, max_length=20_000, description="Divisors, as `offset`; 0 counts as 1."
    )
    separator: Separator = Field(default="comma", description="Between the cells of CSV.")
    header: Header = Field(
        default="auto", description="Whether the first row of CSV names the columns."
    )


class NumericItemOptions(RowScaling):
    """Members of a numeric item of a call of many items, beside ``rows`` and ``columns``."""

    offset: list[Number] | None = Field(default=None, max_length=65_536)
    scale: list[Number] | None = Field(default=None, max_length=65_536)


class NumericRows(BaseModel):
    """Rows of numbers in JSON; null is NaN."""

    model_config = ConfigDict(extra="forbid")

    rows: list[list[float | None]] = Field(
        min_length=1, description="One number for each column, or null."
    )
    columns: list[ColumnName] = Field(default=[], description="Names of the columns, or none.")


class AppliedScaler(BaseModel):
    """The scaler that was applied."""

    name: str
    version: int


class PreparedNumeric(BaseModel):
    """Scaled rows. In JSON, NaN is null."""

    scaler: AppliedScaler | None = Field(description="Absent with a method.")
    method: Method | None
    columns: list[str] = Field(description="Names of the columns; empty if they have none.")
    nan_counts: list[int] = Field(description="NaN of each column, before anything replaced them.")
    imputed_counts: list[int] = Field(description="NaN of each column that were replaced.")
    offset: list[float | None] | None = Field(
        description="With a method: what was subtracted; null if a column has no numbers."
    )
    scale: list[float | None] | None = Field(
        description="With a method: what was divided by; 1 where it would be 0."
    )
    rows: list[list[float | None]] | None = Field(description="Absent with a window.")
    windows: list[list[list[float | None]]] | None = Field(
        description="With a window: [windows, window, columns]."
    )


class ColumnSums(BaseModel):
    """Partial statistics of one column, over the numbers that are no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ColumnName = Field(default="", description="Empty if the columns have no names.")
    count: int = Field(ge=0, le=2**50, description="Numbers.")
    nan_count: int = Field(ge=0, le=2**50, description="NaN beside them.")
    mean: Pair
    squares: Pair = Field(description="Sum of the squared deviations from the mean.")
    minimum: FiniteFloat | None = Field(description="null without numbers.")
    maximum: FiniteFloat | None
    distinct: list[tuple[FiniteFloat, Annotated[int, Field(ge=1, le=2**50)]]] | None = Field(
        default=None,
        description="Distinct numbers, ascending, and how often each occurs; null if there are "
        "more of them than the server keeps, or they were not asked for.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(high + low != high for high, low in (self.mean, self.squares)):
            message = "the second number of a pair must be the rounding error of the first"
            raise ValueError(message)
        if self.squares[0] < 0:
            message = "squares must not be negative"
            raise ValueError(message)
        has_range = self.minimum is not None and self.maximum is not None
        if has_range != (self.count > 0) or (self.minimum is None) != (self.maximum is None):
            message = "minimum and maximum are numbers if count is above 0, else null"
            raise ValueError(message)
        if has_range and not _is_ordered(self.minimum, self.mean[0], self.maximum):
            message = "the mean must lie between minimum and maximum"
            raise ValueError(message)
        if self.distinct is not None:
            values = [value for value, _ in self.distinct]
            if values != sorted(set(values)):
                message = "distinct must be ascending"
                raise ValueError(message)
            if sum(count for _, count in self.distinct) != self.count:
                message = "the counts of distinct must add up to count"
                raise ValueError(message)
        return self


class Sums(BaseModel):
    """Partial statistics of rows: those of several parts merge to those of the whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[ColumnSums, ...] = Field(min_length=1)


class NewScaler(BaseModel):
    """A scaler to be fitted: its kind, and the sums of all parts of the data."""

    model_config = ConfigDict(extra="forbid")

    kind: ScalerKind = "standard"
    impute: Impute = "none"
    sums: list[Sums] = Field(min_length=1, max_length=MAX_SUMS)
    description: str = Field(default="", max_length=1000)


class ScalerColumn(BaseModel):
    """The map of one column: ``(value - offset) / scale``, after NaN was replaced by ``fill``."""

    name: str
    offset: float
    scale: float
    fill: float | None = Field(description="null: NaN stays NaN.")


class ScalerInfo(BaseModel):
    """A published scaler. Its versions are promoted and rolled back as those of every model."""

    name: str
    version: int = Field(description="The version described here.")
    versions: list[int] = Field(description="All versions, the lowest first.")
    kind: ScalerKind
    impute: Impute
    rows: int = Field(description="Rows that it was fitted on.")
    description: str
    columns: list[ScalerColumn]


class ScalerList(BaseModel):
    """Published scalers, with the version of each that answers by default."""

    scalers: list[ScalerInfo]


def _is_ordered(least: float | None, mean: float, most: float | None) -> bool:
    """Return whether a mean is in range, but for the rounding of its last digit."""
    assert least is not None  # noqa: S101 - the caller checked
    assert most is not None  # noqa: S101 - the same
    return math.nextafter(least, -math.inf) <= mean <= math.nextafter(most, math.inf)
