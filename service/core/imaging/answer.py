"""The answers of the core as plain data, for the transports to encode.

The fields are those of ``schemas.classify``, which documents and types them for callers; a contract
test compares the two. Pydantic would validate our own numbers again, at ten times the cost, and a
frozen dataclass takes three times as long to create: a request creates ten of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ModelRef:
    """The name and version of the model that answered."""

    name: str
    version: int


@dataclass(slots=True)
class Prediction:
    """One class: its label, its index in the model's output, its calibrated probability."""

    label: str
    index: int
    score: float


@dataclass(slots=True)
class Named:
    """A label or a group, and its calibrated probability."""

    label: str
    score: float


@dataclass(slots=True)
class Summary:
    """The finest answer that reaches its threshold; ``level`` 0 is a label, from 1 a group.

    ``perhaps``: the likeliest label within a group.
    """

    label: str
    score: float
    level: int
    perhaps: Named | None


@dataclass(slots=True)
class ImageFacts:
    """The format and size of an image; width and height in pixels, as seen upright.

    truncated: whether the end of the file was missing.
    """

    format: str
    width: int
    height: int
    truncated: bool = False


@dataclass(slots=True)
class Timing:
    """The duration of each step, in milliseconds."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    total_ms: float


@dataclass(slots=True)
class LabelledAnswer:
    """The answer of one model for one window of samples; see ``Classification``."""

    summary: Summary | None
    predictions: list[Prediction]
    labels_present: list[str] | None
    abstained: bool
    calibrated: bool
    timing: Timing


@dataclass(slots=True)
class Classification:
    """The answer of one model for one image; predictions best first.

    ``labels_present``: all of them; only for a multi-label model.
    """

    summary: Summary | None
    predictions: list[Prediction]
    labels_present: list[str] | None
    abstained: bool
    calibrated: bool
    image: ImageFacts
    timing: Timing
