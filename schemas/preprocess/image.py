"""Request options and response body of the preparation of an image."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.classify import (
    MODEL_NAME_PATTERN,
    ImageFacts,
    Milliseconds,
    ModelRef,
    Version,
)
from schemas.http.inference import Datatype
from schemas.manifest.model_input import Colour, Layout


class PrepareImageOptions(BaseModel):
    """Options of the preparation of an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        pattern=MODEL_NAME_PATTERN,
        description="Model name. If absent: the server's default model, or 409 if there is none.",
        examples=["everyday"],
    )
    version: Version | None = Field(
        default=None,
        description="Model version: a number, or a label. If absent: the default version.",
        examples=[1, "stable"],
    )
    view: Literal["tensor", "png"] = Field(
        default="tensor",
        description="`png`: a picture of what the model sees: cropped and sized as for the model, "
        "its colours and normalisation undone.",
    )
    data: Literal["flat", "nested", "base64"] = Field(
        default="flat",
        description="The values in a JSON answer: one list in row-major order, lists in lists, or "
        "base64 of little-endian values in row-major order.",
    )
    timeout_ms: Milliseconds | None = Field(
        default=None,
        description="Time limit in milliseconds, counted from the complete upload; then 504.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="Priority. Under load the three share the server's capacity 16 : 4 : 1.",
    )


class PreparedTensor(BaseModel):
    """The input of a model's graph, with a batch axis of 1."""

    name: str = Field(description="The graph's input.", examples=["images"])
    datatype: Datatype = Field(description="`FP32` or `UINT8`.", examples=["FP32"])
    shape: list[int] = Field(examples=[[1, 3, 224, 224]])
    data: list[float] | list[object] | str = Field(
        description="As the option `data` says; float32 values survive the round trip.",
        examples=[[0.5, -0.25]],
    )


class PreparedImageResponse(BaseModel):
    """An image as a model takes it."""

    model: ModelRef
    tensor: PreparedTensor
    layout: Layout = Field(description="Order of the axes.")
    colour: Colour = Field(description="Order of the channels.")
    image: ImageFacts
    request_id: str = Field(description="The same id as in X-Request-ID.")
