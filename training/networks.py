"""Small residual networks that run in about a millisecond on one CPU core."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn.functional import relu


class Stage(NamedTuple):
    """One residual block: its kind, output channels and stride."""

    kind: Literal["basic", "bottleneck"]
    channels: int
    stride: int


class Residual(nn.Module):
    """A residual block (He et al., 2015) whose shortcut pools before its 1x1 (ResNet-D)."""

    def __init__(self, channels_in: int, stage: Stage) -> None:
        super().__init__()
        out, stride = stage.channels, stage.stride
        if stage.kind == "basic":
            self.path = nn.Sequential(
                *convolution(channels_in, out, 3, stride), nn.ReLU(), *convolution(out, out, 3)
            )
        else:
            inner = out // 2
            self.path = nn.Sequential(
                *convolution(channels_in, inner, 1),
                nn.ReLU(),
                *convolution(inner, inner, 3, stride),
                nn.ReLU(),
                *convolution(inner, out, 1),
            )
        pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.shortcut = nn.Sequential(
            *([pool] if stride == 2 else []),
            *(convolution(channels_in, out, 1) if stride != 1 or channels_in != out else []),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, C', H', W']."""
        return relu(self.path(x) + self.shortcut(x))


class Student(nn.Module):
    """Stem, residual blocks, global average pool, linear head.

    While training it also maps its pooled features to the teacher's (``project``).
    """

    def __init__(
        self, stem: int, stages: list[Stage], classes: int, teacher_features: int | None
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, stem, 3, 2), nn.ReLU())
        widths = [stem, *(stage.channels for stage in stages)]
        self.body = nn.Sequential(
            *(Residual(width, stage) for width, stage in zip(widths, stages, strict=False))
        )
        self.head = nn.Linear(widths[-1], classes)
        self.project = nn.Linear(widths[-1], teacher_features) if teacher_features else None

    def pooled(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Normalised images -> pooled features [N, C]."""
        features: torch.Tensor = self.body(self.stem(images_NCHW)).mean((2, 3))
        return features

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Normalised images -> logits [N, K]."""
        logits: torch.Tensor = self.head(self.pooled(images_NCHW))
        return logits


def convolution(channels_in: int, channels: int, side: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias and its batch normalisation."""
    return [
        nn.Conv2d(channels_in, channels, side, stride, side // 2, bias=False),
        nn.BatchNorm2d(channels),
    ]
