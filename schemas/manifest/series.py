"""Manifest input of models that take windows of sensor samples: kind ``series``."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, model_validator

from schemas.manifest.model_input import Dtype
from schemas.manifest.numeric import ScalerName, is_absent, refuse_scaling

ChannelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]

NanPolicy = Literal["refuse", "hold", "mean"]
"""Treatment of NaN and infinite samples: the window is refused; the last finite sample of the
channel is repeated (the mean before the first); or the channel's mean stands in."""


class SeriesSpec(BaseModel):
    """Preprocessing of a window: each sample becomes ``(sample * scale - mean) / std``.

    A window holds float32 samples of shape [length, channels], oldest first, as they leave the
    sensor. The graph's input is float32 of shape [batch, channels, length].
    ``mean`` and ``std`` have one number, or one for each channel.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: ClassVar[str] = "window"
    dtype: ClassVar[Dtype] = Dtype.FLOAT32

    kind: Literal["series"]
    name: str = Field(description="The graph's input name.")
    channels: PositiveInt = Field(le=1024)
    length: PositiveInt = Field(le=1_048_576, description="Samples of each channel in a window.")
    batch: Literal["dynamic"] | PositiveInt = Field(
        default="dynamic", description="The graph's batch axis: dynamic, or a fixed number."
    )
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(ge=1e-12)], ...] = (1.0,)
    scaler: ScalerName | None = Field(
        default=None,
        exclude_if=is_absent,
        description="Instead of scale, mean and std: a scaler of this repository with one column "
        "for each channel; its name, or name@version.",
    )
    nan: NanPolicy = Field(default="refuse", description="What becomes of NaN and infinities.")
    channel_names: tuple[ChannelName, ...] = Field(
        default=(), description="Names of the channels in order, for people; may be left out."
    )

    @property
    def takes(self) -> str:
        """The windows in words, for messages."""
        return f"windows of {self.length} samples of {self.channels} channels"

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of one item of the graph's input, without the batch axis."""
        return self.channels, self.length

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in {1, self.channels}:
                message = f"{name} must have 1 or {self.channels} numbers"
                raise ValueError(message)
        if len(self.channel_names) not in {0, self.channels}:
            message = f"channel_names must have {self.channels} names, or none"
            raise ValueError(message)
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))):
            message = "scale, mean and std must be finite"
            raise ValueError(message)
        if self.scaler is not None:
            refuse_scaling(self.scale, self.mean, self.std)
        return self
