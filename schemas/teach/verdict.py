"""The verdict: what the labelled photos say about a head that was fitted to them.

Every figure is from held-out answers: those of a head that saw no photo of the same group.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]

NoInterval = Literal["no photos", "one group", "one class"]
"""Why an accuracy has no interval: nothing was held out from a head that knew the other classes."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(_Part):
    """Range that holds the true value with the given confidence."""

    low: Share
    high: Share
    level: Share = Field(default=0.95, description="Confidence.")


class Accuracy(_Part):
    """Share of held-out photos that are answered right."""

    value: Share | None = Field(description="Absent if no photo could be held out.")
    right: int = Field(ge=0, description="Photos answered right. Several labels: all of them.")
    photos: int = Field(ge=0, description="Photos that were judged.")
    groups: int = Field(ge=0, description="Groups of these photos: the independent observations.")
    interval: Interval | None = Field(
        default=None, description="Of the accuracy on other photos of the same kind."
    )
    unknown: NoInterval | None = Field(default=None, description="Why there is no interval.")


class ClassVerdict(_Part):
    """Counts and rates of one class."""

    name: str
    photos: int = Field(ge=0, description="Photos with this label.")
    groups: int = Field(ge=0, description="Groups of these photos.")
    held_out: int = Field(
        ge=0, description="Photos of them that were judged by a head that knew the class."
    )
    right: int = Field(ge=0, description="Judged photos that are answered with this class.")
    answered: int = Field(ge=0, description="Photos answered with this class, rightly or not.")
    precision: Share | None = Field(description="right / answered; absent if never answered.")
    recall: Share | None = Field(description="right / held_out; absent if never held out.")
    recall_interval: Interval | None = None


class CurvePoint(_Part):
    """Accuracy of heads fitted to a part of the photos, on the photos of other groups."""

    photos: int = Field(ge=1, description="Labelled photos that the heads were fitted to.")
    accuracy: Share
    low: Share
    high: Share


class Forecast(_Part):
    """Forecast of twice the labels. Gains are shares: 0.03 is 3 points."""

    photos: int = Field(ge=1, description="Twice the labelled photos.")
    gain_low: float = Field(ge=-1, le=1, description="Lower end of an 80 % range.")
    gain: float = Field(ge=-1, le=1)
    gain_high: float = Field(ge=-1, le=1)
    sentence: str


class Suspect(_Part):
    """A photo whose label the other photos contradict."""

    photo: str = Field(description="Id of the photo.")
    label: str = Field(description="Its label.")
    proposed: str = Field(
        description="What the others say. Several labels: the one that is missing or too much."
    )
    score: Share = Field(description="How strongly: 1 - the held-out score of the label.")


class InseparablePair(_Part):
    """Two classes that the head cannot tell apart."""

    first: str
    second: str
    photos: int = Field(ge=0, description="Judged photos of the two.")
    right: int = Field(ge=0, description="Of these, the ones whose own class scores higher.")
    interval: Interval = Field(description="Of the share that is right; 0.5 is chance.")


class Calibration(_Part):
    """From logits to scores, and the score from which answers keep the promised precision."""

    temperature: float = Field(gt=0, description="Logits are divided by it.")
    error: Share | None = Field(
        description="Expected calibration error: mean distance of score and share right."
    )
    promised_precision: Share
    threshold: Share | None = Field(
        description="Least score of an answer that keeps the promise; absent if none does."
    )
    coverage: Share | None = Field(description="Share of photos answered at the threshold.")
    precision: Share | None = Field(description="Share right among these.")
    class_thresholds: tuple[Share | None, ...] = Field(
        default=(), description="Several labels: a threshold for each class."
    )


class Foreign(_Part):
    """How often pictures that show nothing of the classes are answered all the same."""

    photos: int = Field(ge=0, description="Foreign photos that were tried.")
    distance: float = Field(ge=0, description="Distance from which a photo is unknown.")
    answered: Share = Field(description="Share of the foreign photos within that distance.")


class Verdict(_Part):
    """Verdict of the labelled photos on a head."""

    kind: Literal["single", "multi"] = Field(description="Labels for each photo: one, or several.")
    classes: tuple[str, ...]
    photos: int = Field(ge=0)
    groups: int = Field(ge=0)
    accuracy: Accuracy
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="Row: label, column: answer, in the order of the classes. Several labels: for "
        "each class the counts right present, missed, wrongly present, right absent."
    )
    per_class: tuple[ClassVerdict, ...]
    curve: tuple[CurvePoint, ...] = ()
    forecast: Forecast | None = None
    enough: bool = Field(description="Whether more labels would bring little.")
    advice: tuple[str, ...] = Field(description="Next steps, the most useful first.")
    suspects: tuple[Suspect, ...] = Field(default=(), description="Most suspicious first.")
    inseparable: tuple[InseparablePair, ...] = ()
    calibration: Calibration
    foreign: Foreign | None = None
