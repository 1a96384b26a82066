"""What the core answers: plain data, for the transports to put on their wires.

The same fields as ``schemas.classify``, which documents and types them for callers; a contract test
holds the two together. Pydantic would validate our own numbers again, at ten times the cost, and
a frozen dataclass takes three times as long to make: a request makes ten of these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ModelRef:
    """Which model answered."""

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
    """The finest answer that is sure enough; ``level`` 0 is a label, 1 and more are groups.

    ``perhaps``: the likeliest label within a group.
    """

    label: str
    score: float
    level: int
    perhaps: Named | None


@dataclass(slots=True)
class ImageFacts:
    """What the file held; pixels as seen upright."""

    format: str
    width: int
    height: int


@dataclass(slots=True)
class Timing:
    """Where the time went, in milliseconds."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    total_ms: float


@dataclass(slots=True)
class Classification:
    """What one model says about one image; predictions best first.

    ``labels_present``: of a multi-label model alone, and all of them.
    """

    summary: Summary | None
    predictions: list[Prediction]
    labels_present: list[str] | None
    abstained: bool
    calibrated: bool
    image: ImageFacts
    timing: Timing
