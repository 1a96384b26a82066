"""What ``--like`` stands for: how well-known families of models want their pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """``(pixel * scale - mean) / std``; ``crop``: shorter side over input size, None: squash."""

    meaning: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float | None


PRESETS: Mapping[str, Preset] = {
    "imagenet": Preset(
        "torchvision and timm: 0..1 less ImageNet's mean, by its deviation; centre crop of 256/224",
        1 / 255,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        256 / 224,
    ),
    "0-1": Preset("0..1; centre crop", 1 / 255, (0.0,), (1.0,), 1.0),
    "-1..1": Preset("-1..1; centre crop", 1 / 127.5, (1.0,), (1.0,), 1.0),
    "tf": Preset("Keras in mode 'tf': -1..1; squashed", 1 / 127.5, (1.0,), (1.0,), None),
    "efficientnet-lite": Preset(
        "EfficientNet-Lite: (pixel - 127) / 128; centre crop of 256/224",
        1.0,
        (127.0,),
        (128.0,),
        256 / 224,
    ),
    "none": Preset("0..255 as they are; centre crop", 1.0, (0.0,), (1.0,), 1.0),
}
