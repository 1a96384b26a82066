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
    """What one model says about one image; predictions best first."""

    predictions: list[Prediction]
    abstained: bool
    image: ImageFacts
    timing: Timing
