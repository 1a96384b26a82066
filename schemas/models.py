"""The model manifest, ``manifest.json`` beside ``model.onnx``, and descriptions of models.

The manifest holds what the graph does not: preprocessing, meaning of the output, labels,
calibration and measured accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from schemas.classify import MODEL_NAME_PATTERN
from schemas.model_output import OutputSpec
from schemas.serving import ModelVersion

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A plain name inside the version's own folder: no separators, no leading dot."""


class _Document(BaseModel):
    """Base class that rejects unknown members, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dtype(StrEnum):
    """Element type of the input tensor."""

    FLOAT32 = "float32"
    UINT8 = "uint8"


class Layout(StrEnum):
    """Order of the input's axes."""

    NCHW = "NCHW"
    NHWC = "NHWC"


class Colour(StrEnum):
    """Order of the input's channels; grey has one channel."""

    RGB = "RGB"
    BGR = "BGR"
    GREY = "grey"

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self is Colour.GREY else 3


class Interpolation(StrEnum):
    """Pillow's resampling filters; all except ``nearest`` are antialiased."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class ShorterSide(_Document):
    """Scale the shorter side to ``pixels``, then crop the centre (usual for ImageNet models)."""

    policy: Literal["shorter_side"] = "shorter_side"
    pixels: PositiveInt = Field(description="Shorter side before the crop, e.g. 256.")
    interpolation: Interpolation = Interpolation.BILINEAR


class Squash(_Document):
    """Scale both sides to the input's size without keeping the aspect ratio."""

    policy: Literal["squash"] = "squash"
    interpolation: Interpolation = Interpolation.BILINEAR


class InputSpec(_Document):
    """Preprocessing: a photo becomes ``(pixel * scale - mean) / std`` per channel.

    Pixels are 0..255; ``mean`` and ``std`` follow the order of ``colour``.
    """

    name: str = Field(description="The graph's input name.")
    dtype: Dtype
    layout: Layout
    colour: Colour
    height: PositiveInt
    width: PositiveInt
    batch: Literal["dynamic"] | PositiveInt = Field(
        default="dynamic", description="The graph's batch axis: dynamic, or a fixed number."
    )
    resize: Annotated[ShorterSide | Squash, Field(discriminator="policy")]
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(ge=1e-6)], ...] = (1.0,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one item, without the batch axis."""
        channels = self.colour.channels
        if self.layout is Layout.NCHW:
            return channels, self.height, self.width
        return self.height, self.width, channels

    @property
    def is_identity(self) -> bool:
        """Whether pixels reach the model as they are."""
        return self.scale == 1 and set(self.mean) == {0.0} and set(self.std) == {1.0}

    @model_validator(mode="after")
    def _check(self) -> Self:
        allowed = {1, self.colour.channels}
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in allowed:
                message = f"{name} must have 1 or {self.colour.channels} numbers"
                raise ValueError(message)
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))):
            message = "scale, mean and std must be finite"
            raise ValueError(message)
        if self.dtype is Dtype.UINT8 and not self.is_identity:
            message = "dtype uint8 takes pixels as they are: leave scale, mean and std out"
            raise ValueError(message)
        if isinstance(self.resize, ShorterSide) and self.resize.pixels < max(
            self.height, self.width
        ):
            message = "resize.pixels must be at least the input's height and width"
            raise ValueError(message)
        return self


class Accuracy(_Document):
    """Accuracy measured on a data set. Shares are 0..1."""

    dataset: str
    split: str
    photos: PositiveInt
    top1: float = Field(ge=0, le=1)
    top5: float | None = Field(default=None, ge=0, le=1)
    mean_per_class: float | None = Field(default=None, ge=0, le=1)
    expected_calibration_error: float | None = Field(default=None, ge=0, le=1)
    notes: str = ""


class GoldenPrediction(_Document):
    """One expected prediction."""

    index: int = Field(ge=0)
    score: float = Field(ge=0, le=1)


class GoldenSample(_Document):
    """An image in ``golden/`` and the predictions of the model when it was published."""

    file: FileName
    predictions: tuple[GoldenPrediction, ...] = Field(min_length=1)
    tolerance: float = Field(
        default=0.02, gt=0, le=1, description="Permitted deviation of a score on another CPU."
    )


class Calibration(_Document):
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


class ModelManifest(_Document):
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
    input: InputSpec
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
    input: InputSpec
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
