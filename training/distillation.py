"""The training loop: labels, a teacher's soft labels and its features, on cached views.

Loss: ``label_weight`` x cross entropy + KL at ``temperature`` (Hinton et al., 2015) +
``feature_weight`` x mean squared error on standardised features; images and targets are mixed
(mixup, Zhang et al., 2017), which keeps the teacher consistent over a long schedule (Beyer et
al., 2021). Without a teacher only the cross entropy remains.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax, one_hot, softmax

from training.distillation_data import Views
from training.schedule import Epoch, Schedule

MEAN = 127.5
STD = 64.0
"""The network's input is ``(pixel - MEAN) / STD``; the exported graph includes this."""


def train(
    student: nn.Module,
    views: Views,
    classes: int,
    head: nn.Linear | None,
    schedule: Schedule,
    *,
    score: Callable[[nn.Module], float],
    checkpoint: Path,
    report: Callable[[Epoch], None],
) -> tuple[nn.Module, list[Epoch]]:
    """Train ``student``; return the average of its weights and the history.

    Args:
        head: the teacher's linear head on standardised features, None without a teacher.
        score: top-1 of a model on the validation split, 0 to 1, only for the history.
        checkpoint: written after every epoch; an existing one is resumed.

    Raises:
        ValueError: if ``checkpoint`` belongs to a run with other settings.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(schedule.seed)
    student = student.to(device, memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        student, multi_avg_fn=_warmed_ema(schedule.ema), use_buffers=True
    )
    decayed = [p for p in student.parameters() if p.ndim > 1]
    plain = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(
        groups, schedule.learning_rate, 0.9, weight_decay=schedule.weight_decay, nesterov=True
    )
    batches = Batches(views, classes, head, schedule, device)
    total = schedule.epochs * len(batches)
    warm_up = 5 * len(batches)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(step / warm_up, (1 + math.cos(math.pi * min(1, step / total))) / 2),
    )
    history: list[Epoch] = []
    parts = {"student": student, "average": average, "optimiser": optimiser, "rate": rate}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["schedule"] != asdict(schedule):
            message = f"{checkpoint} belongs to a run of other settings; move it away"
            raise ValueError(message)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        history = [Epoch(**line) for line in state["history"]]
    for epoch in range(len(history), schedule.epochs):
        began = time.monotonic()
        student.train()
        losses = []
        for batch in batches.epoch(epoch):
            with torch.autocast(device.type, torch.bfloat16):
                loss = distillation_loss(student, batch, schedule)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            average.update_parameters(student)
            losses.append(loss.item())
        average.eval()
        line = Epoch(
            epoch + 1, float(np.mean(losses)), score(average.module), time.monotonic() - began
        )
        history.append(line)
        report(line)
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"schedule": asdict(schedule), "history": [asdict(line) for line in history]}
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)
    return average.module.eval(), history


@dataclass(frozen=True, slots=True)
class Batch:
    """Mixed images, float [N, 3, H, W]; mixed targets; standardised teacher features or None."""

    images_NCHW: torch.Tensor
    targets_NK: torch.Tensor
    features_NF: torch.Tensor | None
    soft_NK: torch.Tensor | None


class Batches:
    """Batches of one random view per photo and epoch, augmented and mixed."""

    def __init__(
        self,
        views: Views,
        classes: int,
        head: nn.Linear | None,
        schedule: Schedule,
        device: torch.device,
    ) -> None:
        self._views, self._schedule, self._device = views, schedule, device
        self._head = head.to(device) if head else None
        self._classes = classes
        self._mean, self._std = feature_statistics(views)

    def __len__(self) -> int:
        return len(self._views.labels_P) // self._schedule.batch

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch; the same epoch number draws the same batches."""
        rng = np.random.default_rng((self._schedule.seed, epoch))
        torch.manual_seed(self._schedule.seed * 100_003 + epoch)
        order = rng.permutation(len(self._views.labels_P))
        for number in range(len(self)):
            rows = np.sort(order[number * self._schedule.batch :][: self._schedule.batch])
            yield self._batch(rows, rng)

    def _batch(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        views, schedule = self._views, self._schedule
        chosen = rng.integers(0, views.images_PVHWC.shape[1], len(rows))
        images = torch.from_numpy(views.images_PVHWC[rows, chosen]).to(self._device)
        images = augment(images.permute(0, 3, 1, 2).float(), schedule)
        targets = one_hot(torch.from_numpy(views.labels_P[rows]), self._classes)
        targets = targets.to(self._device).float()
        targets = targets * (1 - schedule.smoothing) + schedule.smoothing / self._classes
        features = soft = None
        if views.features_PVF is not None and self._head is not None:
            raw = torch.from_numpy(views.features_PVF[rows, chosen]).to(self._device).float()
            features = (raw - self._mean.to(raw)) / self._std.to(raw)
            soft = softmax(self._head(features) / schedule.temperature, 1)
        if schedule.mixup:
            share = float(rng.beta(schedule.mixup, schedule.mixup))
            other = torch.randperm(len(rows), device=self._device)
            images, targets = (torch.lerp(part[other], part, share) for part in (images, targets))
            if features is not None and soft is not None:
                features = torch.lerp(features[other], features, share)
                soft = torch.lerp(soft[other], soft, share)
        return Batch(normalised(images), targets, features, soft)


def normalised(pixels_NCHW: torch.Tensor) -> torch.Tensor:
    """Convert pixels 0..255 to the network's input, in the fastest memory order."""
    return ((pixels_NCHW - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def feature_statistics(views: Views) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each teacher feature over the training views."""
    if views.features_PVF is None:
        return torch.zeros(1), torch.ones(1)
    sample = np.asarray(views.features_PVF[:, :4], np.float32).reshape(
        -1, views.features_PVF.shape[2]
    )
    return torch.from_numpy(sample.mean(0)), torch.from_numpy(sample.std(0) + 1e-3)


def distillation_loss(student: nn.Module, batch: Batch, schedule: Schedule) -> torch.Tensor:
    """The scalar loss of one batch (see the module's first lines)."""
    pooled = student.pooled(batch.images_NCHW)
    logits = student.head(pooled).float()
    loss = cross_entropy(logits, batch.targets_NK)
    if batch.features_NF is None or batch.soft_NK is None:
        return loss
    heat = schedule.temperature
    soft = -(batch.soft_NK * log_softmax(logits / heat, 1)).sum(1).mean() * heat**2
    features = ((student.project(pooled).float() - batch.features_NF) ** 2).mean()
    return schedule.label_weight * loss + soft + schedule.feature_weight * features


def augment(images_NCHW: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """Mirror half of the images, jitter brightness, contrast and saturation, erase a square.

    Pixels stay within 0..255.
    """
    count, _, height, width = images_NCHW.shape
    device = images_NCHW.device

    def drawn(low: float, high: float) -> torch.Tensor:
        return torch.empty(count, 1, 1, 1, device=device).uniform_(low, high)

    mirrored = torch.rand(count, 1, 1, 1, device=device) < 0.5
    images = torch.where(mirrored, images_NCHW.flip(3), images_NCHW)
    if schedule.jitter:
        low, high = 1 - schedule.jitter, 1 + schedule.jitter
        images = images * drawn(low, high)
        images = torch.lerp(images.mean((1, 2, 3), keepdim=True), images, drawn(low, high))
        images = torch.lerp(images.mean(1, keepdim=True), images, drawn(low, high))
        images = images.clamp(0, 255)
    if schedule.erasing:
        side = drawn(0.15, 0.45) * height
        top, left = drawn(0, 1) * (height - side), drawn(0, 1) * (width - side)
        ys = torch.arange(height, device=device).view(1, 1, -1, 1)
        xs = torch.arange(width, device=device).view(1, 1, 1, -1)
        inside = (ys >= top) & (ys < top + side) & (xs >= left) & (xs < left + side)
        hit = torch.rand(count, 1, 1, 1, device=device) < schedule.erasing
        images = torch.where(inside & hit, MEAN, images)
    return images


def _warmed_ema(decay: float) -> Callable[[list[torch.Tensor], list[torch.Tensor], int], None]:
    """Exponential average that starts quickly: decay ``min(decay, (1 + n) / (10 + n))``."""

    def update(averages: list[torch.Tensor], current: list[torch.Tensor], count: int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averages, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    return update
