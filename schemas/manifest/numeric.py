"""Manifest input of models that take rows of numbers: kind ``numeric``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from schemas.manifest.document import Document

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ScalerName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(@[1-9][0-9]{0,8})?$")
]
"""A scaler, ``name`` or ``name@version``; without a version, its default version."""

NumericDtype = Literal["float64", "float32"]


class NumericSpec(Document):
    """Rows of numbers, float64 of shape [N, columns], as the graph's only input takes them.

    NaN and infinities are passed on: a graph may replace them.
    """

    item: ClassVar[str] = "row"

    kind: Literal["numeric"]
    name: str = Field(description="The graph's input name.")
    columns: PositiveInt = Field(le=65_536, description="Numbers in a row.")
    dtype: NumericDtype = Field(
        default="float64", description="The graph's type; rows are rounded to float32 if it is."
    )
    batch: Literal["dynamic"] | PositiveInt = Field(
        default="dynamic", description="The graph's batch axis: dynamic, or a fixed number."
    )
    column_names: tuple[ColumnName, ...] = Field(
        default=(), description="Names of the columns in order; may be left out."
    )
    scaler: ScalerName | None = Field(
        default=None,
        description="A scaler of this repository, applied to rows before the model: its name, or "
        "name@version.",
    )

    @property
    def takes(self) -> str:
        """The rows in words, for messages."""
        return f"rows of {self.columns} numbers"

    @property
    def shape(self) -> tuple[int]:
        """The shape of one row, without the batch axis."""
        return (self.columns,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.column_names) not in {0, self.columns}:
            message = f"column_names must have {self.columns} names, or none"
            raise ValueError(message)
        if len(set(self.column_names)) != len(self.column_names):
            message = "column_names must differ from each other"
            raise ValueError(message)
        return self


def parse_scaler_name(text: ScalerName) -> tuple[str, int | None]:
    """Return the name and the version of a scaler; None for its default version."""
    name, _, version = text.partition("@")
    return name, int(version) if version else None


def is_absent(value: object) -> bool:
    """Return whether a member is left out of documents: most models have no scaler."""
    return value is None


def refuse_scaling(scale: float, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise ``ValueError`` if a manifest has numbers that its scaler replaces."""
    if scale != 1 or set(mean) != {0.0} or set(std) != {1.0}:
        message = "scaler stands instead of scale, mean and std: leave them out"
        raise ValueError(message)
