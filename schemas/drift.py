"""Drift: how the answers of a model are spread now, against those of its reference."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

REFERENCE_FILE = "reference.json"
"""In the folder of a version: the answers for the photos that it was taught with."""


class Quantity(StrEnum):
    """A figure of an answer."""

    SCORE = "score"
    """Probability of the first label that is not `unknown`."""
    ABSTAINED = "abstained"
    """1 if the model was not sure, else 0."""
    UNKNOWN = "unknown"
    """Probability that the picture shows something else, of models that were taught: it follows
    from the distance to the photos shown."""


EDGES: dict[Quantity, tuple[float, ...]] = {
    Quantity.SCORE: (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    Quantity.ABSTAINED: (0.5,),
    Quantity.UNKNOWN: (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9),
}
"""Upper ends of the bins but the last one. A change makes stored references unreadable."""

Counts = Annotated[tuple[NonNegativeInt, ...], Field(min_length=2, max_length=20)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DriftReference(_Document):
    """Answers that others are compared with: counts of each bin, by quantity."""

    source: Literal["training", "live"] = Field(
        description="Held-out answers for the photos that the version was taught with, or the "
        "first live ones."
    )
    answers: int = Field(ge=1)
    counts: dict[Quantity, Counts]


class DriftVerdict(StrEnum):
    """Verdict of a comparison."""

    TOO_FEW = "too_few"
    STABLE = "stable"
    SHIFTING = "shifting"
    """A population stability index above 0.1 that is not chance."""
    DRIFTED = "drifted"
    """Above 0.25."""


class QuantityDrift(BaseModel):
    """One figure of the answers, now and in the reference."""

    quantity: Quantity
    verdict: DriftVerdict
    psi: float | None = Field(description="Population stability index; null: too few answers.")
    chance_psi: float | None = Field(
        description="The index that one in a thousand samples of these sizes exceeds by chance."
    )
    ks: float | None = Field(description="Kolmogorov-Smirnov: the largest difference of shares.")
    edges: tuple[float, ...] = Field(description="Between the bins.")
    now: Counts
    reference: Counts


class SourceDrift(BaseModel):
    """Answers of one version to one source of pictures."""

    version: int
    source: str = Field(description="`requests`, or `camera:` and its name.")
    verdict: DriftVerdict = Field(description="The worst of the quantities.")
    reference: Literal["training", "live", "none"]
    answers: int = Field(description="Within the window.")
    since: datetime = Field(description="Of the oldest of them.")
    quantities: list[QuantityDrift]


class DriftReport(BaseModel):
    """Drift of a model, as this process of the server sees it."""

    model: str
    sources: list[SourceDrift]
