"""The model manifest, ``manifest.json`` beside ``model.onnx``, and descriptions of models.

The manifest holds what the graph does not: preprocessing, meaning of the output, labels,
calibration and measured accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    PositiveInt,
    StringConstraints,
    Tag,
    model_validator,
)

from schemas.classify import MODEL_NAME_PATTERN
from schemas.document import Document, FileName
from schemas.errors import Unsupported
from schemas.model_input import InputSpec
from schemas.model_output import OutputSpec
from schemas.series import SeriesSpec
from schemas.serving import ModelVersion

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _kind(value: Any) -> str:  # noqa: ANN401 - JSON, or a specification
    """Return the tag of an input; no identifier, so that paths in messages leave it out."""
    if isinstance(value, dict):
        return "of series" if value.get("kind") == "series" else "of images"
    return "of series" if isinstance(value, SeriesSpec) else "of images"


ModelInput = Annotated[
    Annotated[InputSpec, Tag("of images")] | Annotated[SeriesSpec, Tag("of series")],
    Discriminator(_kind),
]
"""Preprocessing: of windows where ``kind`` is ``series``; of images where there is no ``kind``."""


class Accuracy(Document):
    """Accuracy measured on a data set. Shares are 0..1."""

    dataset: str
    split: str
    photos: PositiveInt
    top1: float = Field(ge=0, le=1)
    top5: float | None = Field(default=None, ge=0, le=1)
    mean_per_class: float | None = Field(default=None, ge=0, le=1)
    expected_calibration_error: float | None = Field(default=None, ge=0, le=1)
    notes: str = ""


class GoldenPrediction(Document):
    """One expected prediction."""

    index: int = Field(ge=0)
    score: float = Field(ge=0, le=1)


class GoldenSample(Document):
    """An image in ``golden/`` and the predictions of the model when it was published."""

    file: FileName
    predictions: tuple[GoldenPrediction, ...] = Field(min_length=1)
    tolerance: float = Field(
        default=0.02, gt=0, le=1, description="Permitted deviation of a score on another CPU."
    )


class Calibration(Document):
    """Source of temperature and thresholds; written by ``potoo models calibrate``."""

    precision: float = Field(
        gt=0, lt=1, description="Target share of correct answers among those given, 0..1."
    )
    dataset: str
    photos: PositiveInt
    answered: float | None = Field(
        default=None, ge=0, le=1, description="Share of photos with an answer."
    )
    right: float | None = Field(
        default=None, ge=0, le=1, description="Share of correct answers among those given."
    )
    notes: str = ""


class ModelManifest(Document):
    """Everything about a model that its graph does not hold."""

    name: ModelName
    version: PositiveInt
    sha256: Sha256 = Field(
        description="Digest of model.onnx; a file with another digest is refused."
    )
    description: str = ""
    labels: tuple[str, ...] | FileName = Field(
        description="Class names in output order, or the name of a file with one per line."
    )
    input: ModelInput
    output: OutputSpec
    temperature: float = Field(
        default=1.0,
        ge=0.01,
        le=100,
        description="Logits are divided by it before the softmax (Guo et al., 2017).",
    )
    abstain_below: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="If the best score is below this, the answer is 'not sure'; 1: always.",
    )
    groups: dict[str, str] = Field(
        default={},
        description="Label hierarchy: parent group of a label or of a group, such as "
        "'tabby': 'cat', 'cat': 'animal'.",
    )
    group_thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(),
        max_length=8,
        description="Least probability for answering with a group: first of the labels' parent "
        "groups, then of each wider level; the last one holds for all wider levels; 1: never.",
    )
    synonyms: dict[str, tuple[str, ...]] = Field(
        default={}, description="Other names of labels, for search."
    )
    unnamed: tuple[str, ...] = Field(
        default=(),
        description="Labels that are never the summary (background, rest of a group); their "
        "probability counts for their group.",
    )
    calibration: Calibration | None = Field(
        default=None, description="Source of the thresholds; None: not measured."
    )
    licence: str
    source: str
    accuracy: tuple[Accuracy, ...] = ()
    golden: tuple[GoldenSample, ...] = ()

    @property
    def image_input(self) -> InputSpec:
        """The input of a model that takes images.

        Raises:
            Unsupported: the model takes windows of samples.
        """
        spec = self.input
        if isinstance(spec, SeriesSpec):
            raise Unsupported(f"The model takes {spec.takes}, not images.")
        return spec

    @property
    def series_input(self) -> SeriesSpec:
        """The input of a model that takes windows of samples.

        Raises:
            Unsupported: the model takes images.
        """
        spec = self.input
        if not isinstance(spec, SeriesSpec):
            raise Unsupported("The model takes images, not windows of samples.")
        return spec

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.output.kind != "logits" and self.temperature != 1:
            message = "temperature needs output.kind logits"
            raise ValueError(message)
        if self.output.kind == "sigmoid":
            for name in ("groups", "abstain_below", "group_thresholds"):
                if getattr(self, name):
                    message = f"{name} needs mutually exclusive classes, not output.kind sigmoid"
                    raise ValueError(message)
        for name in self.groups:
            _refuse_cycle(name, self.groups)
        return self


def _refuse_cycle(name: str, groups: Mapping[str, str]) -> None:
    """Raise ``ValueError`` if the groups of ``name`` form a cycle."""
    passed = [name]
    while (wider := groups.get(passed[-1])) is not None:
        if wider in passed:
            message = f"groups has a cycle: {' -> '.join([*passed, wider])}"
            raise ValueError(message)
        passed.append(wider)


def _is_image(kind: str) -> bool:
    return kind == "image"


class ModelSummary(BaseModel):
    """Entry of the model list."""

    name: str
    version: int = Field(description="The model's default version.")
    description: str
    classes: int = Field(description="Number of classes; 0 if no version could be loaded.")
    ready: bool
    default: bool = Field(description="Whether this is the default model.")
    calibrated: bool = Field(
        description="Whether the thresholds of the default version were measured."
    )
    input_kind: Literal["image", "series"] = Field(
        default="image",
        exclude_if=_is_image,
        description="What the default version takes; absent: images.",
    )
    versions: list[ModelVersion] = Field(default=[], description="All versions, newest first.")


class ModelList(BaseModel):
    """Models on this server."""

    models: list[ModelSummary]


class ModelInfo(ModelSummary):
    """Description of a model's default version."""

    sha256: str
    labels: list[str]
    groups: dict[str, str] = Field(
        description="Parent group of a label or of a group; empty if the model has no groups."
    )
    synonyms: dict[str, tuple[str, ...]] = Field(description="Other names of labels.")
    unnamed: tuple[str, ...] = Field(description="Labels that are never the summary.")
    input: ModelInput
    output: OutputSpec
    temperature: float
    abstain_below: float
    group_thresholds: tuple[float, ...]
    calibration: Calibration | None = Field(
        description="How the thresholds were found; null: they were not measured."
    )
    licence: str
    source: str
    accuracy: list[Accuracy]
