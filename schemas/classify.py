"""The classification contract: options in, labelled predictions out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.errors import ErrorCode

DEFAULT_TOP_K = 5
MAX_TOP_K = 100
TINY_PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _plain(value: object) -> object:
    """Query values: digits alone, where Pydantic would take 5_0, 5.0 and +5 as well."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,20}", value):
        raise ValueError("Input should be a whole number")
    return value


WholeNumber = Annotated[int, BeforeValidator(_plain)]


class ClassifyOptions(BaseModel):
    """What a caller may ask for beside the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        pattern=MODEL_NAME_PATTERN,
        description="Which model; the server's default model if absent, and 409 if it has none.",
        examples=["everyday"],
    )
    version: WholeNumber | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="Which version of it; the one that answers by default if absent.",
    )
    top_k: WholeNumber = Field(
        default=DEFAULT_TOP_K,
        ge=1,
        le=MAX_TOP_K,
        description="How many predictions, best first; cut to the number of classes.",
    )
    timeout_ms: WholeNumber | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Milliseconds this may take once the upload is complete; then 504.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="How soon it is wanted. Under load these share the server 16 : 4 : 1.",
    )


class EncodedImage(BaseModel):
    """The JSON form of an upload."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"image": TINY_PNG}]},
    )

    image: str = Field(
        description="The image file in base64 (RFC 4648, either alphabet), or as a data URL."
    )


class ModelRef(BaseModel):
    """Which model answered."""

    name: str = Field(examples=["everyday"])
    version: int = Field(examples=[1], ge=1)


class Prediction(BaseModel):
    """One class and how likely the model holds it."""

    label: str = Field(examples=["panda"])
    index: int = Field(description="Index in the model's output.", ge=0, examples=[61])
    score: float = Field(
        description="Calibrated probability; all classes together sum to 1. For multi-label models "
        "each is independent.",
        ge=0,
        le=1,
        examples=[0.973],
    )


class Named(BaseModel):
    """A label or a group of labels, and how likely it is."""

    label: str = Field(examples=["Egyptian cat"])
    score: float = Field(
        description="Calibrated probability; a group's is the sum over its labels.",
        ge=0,
        le=1,
        examples=[0.7],
    )


class Summary(Named):
    """The finest answer that is as sure as the model promises (Deng et al., CVPR 2012)."""

    label: str = Field(examples=["cat"])
    score: float = Field(
        description="Calibrated probability; a group's is the sum over its labels.",
        ge=0,
        le=1,
        examples=[0.98],
    )
    level: int = Field(
        description="0: one of the model's labels; 1: a group of them; 2 and more: wider ones.",
        ge=0,
        examples=[1],
    )
    perhaps: Named | None = Field(
        default=None, description="The likeliest label within the group; null at level 0."
    )


class ImageFacts(BaseModel):
    """What was found in the file."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(description="Pixels, as seen upright (EXIF orientation applied).", ge=1)
    height: int = Field(description="Pixels, as seen upright (EXIF orientation applied).", ge=1)
    truncated: bool = Field(
        default=False,
        description="True if the end of the file was missing, and with it hardly a pixel.",
    )


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    decode_ms: float = Field(description="Decoding, resizing and normalising the image.")
    queue_ms: float = Field(description="Waiting for a worker and for batch-mates.")
    inference_ms: float = Field(description="The model itself (of the whole batch it was in).")
    total_ms: float = Field(description="From the complete upload to the answer.")


class Classification(BaseModel):
    """What one model says about one image."""

    summary: Summary | None = Field(
        description="What to show a person first; null where `abstained`, and for multi-label "
        "models."
    )
    predictions: list[Prediction] = Field(description="Best first.")
    labels_present: list[str] | None = Field(
        description="Of a multi-label model: the labels whose score reaches their threshold, best "
        "first, whatever `top_k` is; null for others."
    )
    abstained: bool = Field(
        description="True if nothing is as sure as the model's thresholds ask: say 'not sure'. Of "
        "a multi-label model: true if no label is present."
    )
    calibrated: bool = Field(
        description="Whether scores and thresholds were measured for this model: see "
        "`potoo models calibrate`."
    )
    image: ImageFacts
    timing: Timing


class ClassifyResponse(BaseModel):
    """The answer to one image."""

    model: ModelRef
    summary: Summary | None = Field(
        description="What to show a person first; null where `abstained`, and for multi-label "
        "models."
    )
    predictions: list[Prediction] = Field(description="Best first.")
    labels_present: list[str] | None = Field(
        description="Of a multi-label model: the labels whose score reaches their threshold, best "
        "first, whatever `top_k` is; null for others."
    )
    abstained: bool = Field(
        description="True if nothing is as sure as the model's thresholds ask: say 'not sure'. Of "
        "a multi-label model: true if no label is present."
    )
    calibrated: bool = Field(
        description="Whether scores and thresholds were measured for this model: see "
        "`potoo models calibrate`."
    )
    image: ImageFacts
    timing: Timing
    request_id: str = Field(description="The same id as in X-Request-ID.")


class ItemProblem(BaseModel):
    """Why one file of a batch has no predictions."""

    status: int = Field(description="The HTTP status that the file alone would have got.")
    code: ErrorCode
    detail: str


class BatchItem(BaseModel):
    """The result of one file: either `result` or `problem` is there."""

    file_name: str | None = Field(description="As the upload named it.")
    result: Classification | None = None
    problem: ItemProblem | None = None


class BatchResponse(BaseModel):
    """The answers to many images, in the order of the upload."""

    model: ModelRef
    results: list[BatchItem]
    request_id: str = Field(description="The same id as in X-Request-ID.")
