"""One call for many items: its options, and the members that lines of all kinds share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from schemas.classify import MODEL_NAME_PATTERN, Milliseconds, Version

MAX_ID_CHARS = 256
ItemId = (
    Annotated[str, StringConstraints(max_length=MAX_ID_CHARS)]
    | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
)
"""Names an item in its answer; whole numbers that every JSON reader keeps."""


class PrepareItemsOptions(BaseModel):
    """Options of a call of many items."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        pattern=MODEL_NAME_PATTERN,
        description="Model of items that name none. If absent: the server's default model.",
    )
    version: Version | None = Field(
        default=None, description="Version of that model: a number, or a label."
    )
    data: Literal["flat", "nested", "base64"] = Field(
        default="base64",
        description="Values of tensors of images: base64 of little-endian values in row-major "
        "order, one list, or lists in lists.",
    )
    timeout_ms: Milliseconds | None = Field(
        default=None,
        description="Time limit of an item in milliseconds, from its turn on; then its error.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="Priority. Under load the three share the server's capacity 16 : 4 : 1.",
    )


class ItemHead(BaseModel):
    """Members of a line beside ``image``, ``numeric`` or ``text``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: ItemId | None = None
    model: str | None = Field(default=None, pattern=MODEL_NAME_PATTERN)
    version: Version | None = None
