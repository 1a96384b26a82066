"""Request options and response bodies of classification."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from schemas.errors import ErrorCode

DEFAULT_TOP_K = 5
MAX_TOP_K = 100
TINY_PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
MODEL_NAMES_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:,[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,14}$"
LABEL_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"
MAX_VERSION = 2**31 - 1


def _plain(value: object) -> object:
    """Accept only digits in query values: Pydantic would also accept 5_0, 5.0 and +5."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,20}", value):
        raise ValueError("Input should be a whole number")
    return value


def _version(value: object) -> int | str:
    """Read a version number or a label; one message for both kinds."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        if re.fullmatch(r"[0-9]{1,10}", value) and 1 <= int(value) <= MAX_VERSION:
            return int(value)
        if re.fullmatch(LABEL_PATTERN, value):
            return value
    message = "Input should be a version number of 1 or more, or a label such as 'stable'"
    raise ValueError(message)


Version = Annotated[
    int | str,
    PlainValidator(_version),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
                {"type": "string", "pattern": LABEL_PATTERN},
            ]
        }
    ),
]
"""The number of a version, or a label that stands for one."""
# The limits belong to the number, not to the field: of a field that may be null too, Pydantic
# would write them into the schema as "ge" and "le", which JSON Schema does not know.
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K), BeforeValidator(_plain)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000), BeforeValidator(_plain)]


class ClassifyOptions(BaseModel):
    """Options of a classification request."""

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
    top_k: TopK = Field(
        default=DEFAULT_TOP_K,
        description="Number of predictions, best first; at most the number of classes.",
    )
    timeout_ms: Milliseconds | None = Field(
        default=None,
        description="Time limit in milliseconds, counted from the complete upload; then 504.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="Priority. Under load the three share the server's capacity 16 : 4 : 1.",
    )


class ManyModelsOptions(ClassifyOptions):
    """Options of a classification request that may name several models."""

    also: str | None = Field(
        default=None,
        pattern=MODEL_NAMES_PATTERN,
        description="Further models that answer for the image, separated by commas; 15 at most. "
        "Models that were taught on one base take hardly longer together than one.",
        examples=["door,lamp"],
    )

    @property
    def further(self) -> list[str]:
        """The names of the further models."""
        return self.also.split(",") if self.also else []


class EncodedImage(BaseModel):
    """JSON body of an upload."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"image": TINY_PNG}]},
    )

    image: str = Field(
        description="Image file in base64 (RFC 4648, either alphabet), or as a data URL."
    )


class ModelRef(BaseModel):
    """Model and version that computed the result."""

    name: str = Field(examples=["everyday"])
    version: int = Field(examples=[1], ge=1)


class Prediction(BaseModel):
    """A class and its probability."""

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
    """A label or a group of labels, and its probability."""

    label: str = Field(examples=["Egyptian cat"])
    score: float = Field(
        description="Calibrated probability; a group's is the sum over its labels.",
        ge=0,
        le=1,
        examples=[0.7],
    )


class Summary(Named):
    """The most specific label or group that reaches its threshold (Deng et al., CVPR 2012)."""

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
        default=None, description="Most probable label within the group; null at level 0."
    )


class ImageFacts(BaseModel):
    """Properties of the decoded image."""

    format: str = Field(examples=["JPEG"])
    width: int = Field(description="Pixels, as seen upright (EXIF orientation applied).", ge=1)
    height: int = Field(description="Pixels, as seen upright (EXIF orientation applied).", ge=1)
    truncated: bool = Field(
        default=False,
        description="True if the end of the file was missing, and with it hardly a pixel.",
    )


class Timing(BaseModel):
    """Time per stage, in milliseconds."""

    decode_ms: float = Field(description="Decoding, resizing and normalising the image.")
    queue_ms: float = Field(description="Waiting for a worker and for the batch to fill.")
    inference_ms: float = Field(
        description="Running the model on the whole batch that held the image."
    )
    total_ms: float = Field(description="From the complete upload to the response.")


class Classification(BaseModel):
    """Result of one model for one image."""

    summary: Summary | None = Field(
        description="The result to show first; null if `abstained` is true, and for multi-label "
        "models."
    )
    predictions: list[Prediction] = Field(description="Best first.")
    labels_present: list[str] | None = Field(
        description="For multi-label models: labels whose score reaches their threshold, best "
        "first, independent of `top_k`; null for others."
    )
    abstained: bool = Field(
        description="True if no label or group reaches its threshold: show 'not sure'. For "
        "multi-label models: true if no label is present."
    )
    calibrated: bool = Field(
        description="Whether scores and thresholds were measured for this model: see "
        "`potoo models calibrate`."
    )
    image: ImageFacts
    timing: Timing


class FurtherAnswer(Classification):
    """Result of a further model for the same image."""

    model: ModelRef


class ClassifyResponse(BaseModel):
    """Response for one image."""

    model: ModelRef
    summary: Summary | None = Field(
        description="The result to show first; null if `abstained` is true, and for multi-label "
        "models."
    )
    predictions: list[Prediction] = Field(description="Best first.")
    labels_present: list[str] | None = Field(
        description="For multi-label models: labels whose score reaches their threshold, best "
        "first, independent of `top_k`; null for others."
    )
    abstained: bool = Field(
        description="True if no label or group reaches its threshold: show 'not sure'. For "
        "multi-label models: true if no label is present."
    )
    calibrated: bool = Field(
        description="Whether scores and thresholds were measured for this model: see "
        "`potoo models calibrate`."
    )
    image: ImageFacts
    timing: Timing
    also: list[FurtherAnswer] | None = Field(
        default=None,
        description="Results of the models that `also` names, in that order; absent without it.",
    )
    request_id: str = Field(description="The same id as in X-Request-ID.")


class ItemProblem(BaseModel):
    """Error of one file of a batch."""

    status: int = Field(description="HTTP status that a request with this file alone would get.")
    code: ErrorCode
    detail: str


class BatchItem(BaseModel):
    """Outcome of one file: exactly one of `result` and `problem` is set."""

    file_name: str | None = Field(description="File name given in the upload.")
    result: Classification | None = None
    problem: ItemProblem | None = None


class BatchResponse(BaseModel):
    """Response for a batch of images, in upload order."""

    model: ModelRef
    results: list[BatchItem]
    request_id: str = Field(description="The same id as in X-Request-ID.")
