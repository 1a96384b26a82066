"""The ``input`` part of an image model's manifest: preprocessing of a photo."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from schemas.manifest.document import Document
from schemas.manifest.numeric import ScalerName, is_absent, refuse_scaling


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


class ShorterSide(Document):
    """Scale the shorter side to ``pixels``, then crop the centre (usual for ImageNet models)."""

    policy: Literal["shorter_side"] = "shorter_side"
    pixels: PositiveInt = Field(description="Shorter side before the crop, e.g. 256.")
    interpolation: Interpolation = Interpolation.BILINEAR


class Squash(Document):
    """Scale both sides to the input's size without keeping the aspect ratio."""

    policy: Literal["squash"] = "squash"
    interpolation: Interpolation = Interpolation.BILINEAR


class InputSpec(Document):
    """Preprocessing: a photo becomes ``(pixel * scale - mean) / std`` per channel.

    Pixels are 0..255; ``mean`` and ``std`` follow the order of ``colour``.
    """

    kind: ClassVar[Literal["image"]] = "image"
    item: ClassVar[str] = "image"
    takes: ClassVar[str] = "images"

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
    scaler: ScalerName | None = Field(
        default=None,
        exclude_if=is_absent,
        description="Instead of scale, mean and std: a scaler of this repository with one column "
        "for each channel, in the order of colour; its name, or name@version.",
    )

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
        is_plain = self.scale == 1 and set(self.mean) == {0.0} and set(self.std) == {1.0}
        return is_plain and self.scaler is None

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
        if self.scaler is not None:
            refuse_scaling(self.scale, self.mean, self.std)
        if isinstance(self.resize, ShorterSide) and self.resize.pixels < max(
            self.height, self.width
        ):
            message = "resize.pixels must be at least the input's height and width"
            raise ValueError(message)
        return self
