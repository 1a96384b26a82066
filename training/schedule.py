"""Settings and history of a training run: plain data, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Settings of a run; a checkpoint of other settings is refused."""

    epochs: int
    batch: int = 64
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    ema: float = 0.999
    label_weight: float = 0.3
    smoothing: float = 0.1
    temperature: float = 3.0
    feature_weight: float = 2.0
    mixup: float = 0.2
    erasing: float = 0.25
    jitter: float = 0.3
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training history."""

    epoch: int
    loss: float
    top1: float
    seconds: float
