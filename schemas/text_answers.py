"""Options and answers of models that take text."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.classify import (
    MODEL_NAME_PATTERN,
    ItemProblem,
    Milliseconds,
    ModelRef,
    Prediction,
    Summary,
    Version,
)


class EmbedOptions(BaseModel):
    """Options of a request for vectors of texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None,
        pattern=MODEL_NAME_PATTERN,
        description="Model name. If absent: the server's default model, or 409 if there is none.",
    )
    version: Version | None = Field(
        default=None,
        description="Model version: a number, or a label. If absent: the default version.",
        examples=[1, "stable"],
    )
    timeout_ms: Milliseconds | None = Field(
        default=None,
        description="Time limit in milliseconds, counted from the complete upload; then 504.",
    )
    priority: Literal["interactive", "normal", "bulk"] = Field(
        default="normal",
        description="Priority. Under load the three share the server's capacity 16 : 4 : 1.",
    )


class TextTiming(BaseModel):
    """Time per stage, in milliseconds."""

    tokens_ms: float = Field(description="Normal form and tokens.")
    queue_ms: float = Field(description="Waiting for a worker and for the batch to fill.")
    inference_ms: float = Field(description="Running the model on the batch that held the text.")
    total_ms: float = Field(description="From the complete upload to the response.")


class TextClassification(BaseModel):
    """Result of one model for one text."""

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
        description="True if no label or group reaches its threshold: show 'not sure'."
    )
    calibrated: bool = Field(
        description="Whether scores and thresholds were measured for this model."
    )
    timing: TextTiming


class ClassifyTextResponse(TextClassification):
    """Response for one text."""

    model: ModelRef
    request_id: str = Field(description="The same id as in X-Request-ID.")


class TextItem(BaseModel):
    """Outcome of one text: exactly one of `result` and `problem` is set."""

    result: TextClassification | None = None
    problem: ItemProblem | None = None


class ClassifyTextsResponse(BaseModel):
    """Response for several texts, in the order of the request."""

    model: ModelRef
    results: list[TextItem]
    request_id: str = Field(description="The same id as in X-Request-ID.")


class EmbedResponse(BaseModel):
    """Vectors of texts, in the order of the request."""

    model: ModelRef
    dimension: int = Field(description="Numbers in each vector.", ge=1)
    vectors: list[list[float]] = Field(description="The model's output as it is, float32.")
    request_id: str = Field(description="The same id as in X-Request-ID.")
