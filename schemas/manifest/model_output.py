"""The ``output`` part of a manifest: the meaning of the output tensor."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LabelKind = Literal["logits", "probabilities", "sigmoid"]
"""Kinds of outputs that have labels."""
OutputKind = Literal["logits", "probabilities", "sigmoid", "values"]
DEFAULT_THRESHOLD = 0.5


class OutputSpec(BaseModel):
    """The meaning of the output tensor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The graph's output name.")
    kind: OutputKind = Field(
        description="logits: a softmax is applied; probabilities: they sum to 1; sigmoid: a "
        "multi-label model, whose scores are independent, 0..1 each; values: numbers without "
        "labels, such as a scaler's rows or an embedding."
    )
    rank: int = Field(
        default=2, ge=2, le=4, description="Number of axes: [N, K] is 2, [N, K, 1, 1] is 4."
    )
    label_offset: int = Field(
        default=0,
        ge=0,
        description="Output index of the first label; outputs before it are dropped.",
    )
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(),
        description="Kind sigmoid: least score of a label that is present; one for all labels, "
        f"or one per label. If absent: {DEFAULT_THRESHOLD}.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.thresholds and self.kind != "sigmoid":
            message = "thresholds need kind sigmoid"
            raise ValueError(message)
        if self.label_offset and self.kind == "values":
            message = "label_offset needs labels, which kind values has not"
            raise ValueError(message)
        return self
