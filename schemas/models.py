"""The model manifest, ``manifest.json`` beside ``model.onnx``, and descriptions of models.

The manifest holds what the graph does not: preprocessing, meaning of the output, labels,
calibration and measured accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, PositiveInt, StringConstraints, model_validator

from schemas.classify import MODEL_NAME_PATTERN
from schemas.errors import Unsupported
from schemas.manifest.any_input import ModelInput, input_of
from schemas.manifest.document import Document, FileName
from schemas.manifest.model_input import InputSpec
from schemas.manifest.model_output import OutputSpec
from schemas.manifest.numeric import NumericSpec, is_absent
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec
from schemas.serving import ModelVersion

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
HEAD_FILE = "head.onnx"
"""The head of a taught version alone: it reads the features of its base."""

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_OF_LABELS = (
    *("abstain_below", "groups", "group_thresholds", "synonyms", "unnamed"),
    *("calibration", "golden"),
)
"""Members of a manifest that need labels."""


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


class GoldenValues(Document):
    """A file in ``golden/`` and the numbers that the model gave for it when it was published."""

    file: FileName
    values: tuple[tuple[float | None, ...], ...] = Field(
        min_length=1, description="A row of numbers for each item of the file; null: NaN."
    )
    tolerance: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="Permitted deviation of a number on another CPU; of numbers beyond 1 in "
        "either direction: as a share of the number.",
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


class TaughtFrom(Document):
    """Origin of a taught version: a base's graph up to its features, and a dataset."""

    name: ModelName
    version: PositiveInt
    sha256: Sha256 = Field(description="Digest of the base's model.onnx.")
    tensor: str = Field(description="The tensor of its graph that the head reads.")
    dataset: str = Field(default="", description="The dataset, or the folder, of the photos.")
    run: str = Field(default="", description="The run that published the version.")
    features: str = Field(
        default="",
        description="The graph's output with the features that head.onnx reads; empty: none. "
        "Versions of one base share its session.",
    )


class ModelManifest(Document):
    """Everything about a model that its graph does not hold."""

    name: ModelName
    version: PositiveInt
    sha256: Sha256 = Field(
        description="Digest of model.onnx; a file with another digest is refused."
    )
    description: str = ""
    labels: tuple[str, ...] | FileName = Field(
        description="Class names in output order, or the name of a file with one per line; [] if "
        "output.kind is values."
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
    base: TaughtFrom | None = Field(
        default=None,
        exclude_if=is_absent,
        description="Of a version that was taught from labelled photos: what it was made of.",
    )
    accuracy: tuple[Accuracy, ...] = ()
    golden: tuple[GoldenSample, ...] = ()
    golden_values: tuple[GoldenValues, ...] = Field(
        default=(), description="Takes the place of golden if output.kind is values."
    )

    @property
    def image_input(self) -> InputSpec:
        """The input of a model that takes images.

        Raises:
            Unsupported: the model takes something else; the message names it.
        """
        return input_of(self.input, InputSpec, "images")

    @property
    def series_input(self) -> SeriesSpec:
        """The input of a model that takes windows of samples.

        Raises:
            Unsupported: see ``image_input``.
        """
        return input_of(self.input, SeriesSpec, "windows of samples")

    @property
    def numeric_input(self) -> NumericSpec:
        """The input of a model that takes rows of numbers.

        Raises:
            Unsupported: see ``image_input``.
        """
        return input_of(self.input, NumericSpec, "rows of numbers")

    @property
    def text_input(self) -> TextSpec:
        """The input of a model that takes text.

        Raises:
            Unsupported: see ``image_input``.
        """
        return input_of(self.input, TextSpec, "text")

    def require_labels(self) -> None:
        """Require that the model gives labels.

        Raises:
            Unsupported: it gives numbers without labels.
        """
        if self.output.kind == "values":
            raise Unsupported("The model gives numbers, not labels (output.kind is values).")

    def require_values(self) -> None:
        """Require that the model gives numbers without labels.

        Raises:
            Unsupported: it gives labels.
        """
        if self.output.kind != "values":
            raise Unsupported(
                f"The model gives labels, not numbers (output.kind is {self.output.kind}, not "
                "values)."
            )

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
        self._check_values()
        for name in self.groups:
            _refuse_cycle(name, self.groups)
        return self

    def _check_values(self) -> None:
        """Refuse members that need labels, or that need values, where the output has not."""
        if self.output.kind != "values":
            if self.golden_values:
                message = "golden_values needs output.kind values; use golden"
                raise ValueError(message)
            return
        if self.labels:
            message = "labels must be [] if output.kind is values"
            raise ValueError(message)
        for name in _OF_LABELS:
            if getattr(self, name):
                message = f"{name} needs labels, which output.kind values has not"
                raise ValueError(message)


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
    classes: int = Field(
        description="Number of classes; 0 if the model gives numbers without labels, or if no "
        "version could be loaded."
    )
    ready: bool
    default: bool = Field(description="Whether this is the default model.")
    calibrated: bool = Field(
        description="Whether the thresholds of the default version were measured."
    )
    input_kind: Literal["image", "series", "numeric", "text"] = Field(
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
    base: TaughtFrom | None = Field(
        default=None,
        exclude_if=is_absent,
        description="Of a version that was taught from labelled photos: what it was made of.",
    )
    accuracy: list[Accuracy]
