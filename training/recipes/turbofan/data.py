"""Windows of the C-MAPSS data, their engines, and splits by engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.recipes.turbofan import recipe

CONSTANT = 1e-6
"""Largest share of deviation in the magnitude of a channel that says nothing."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Samples float32 [N, length, channels], class indices [N], engine numbers [N]."""

    samples_NLC: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    engines_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels_N)

    def where(self, chosen_N: NDArray[np.bool_]) -> Windows:
        """Return the windows that a mask selects."""
        return Windows(
            self.samples_NLC[chosen_N], self.labels_N[chosen_N], self.engines_N[chosen_N]
        )


@dataclass(frozen=True, slots=True)
class Channels:
    """Mean and deviation of each channel; a constant channel has deviation 1 and is not used."""

    mean_C: NDArray[np.float64]
    std_C: NDArray[np.float64]
    used_C: NDArray[np.bool_]

    def normalised(self, samples_NLC: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (samples - mean) / std as [N, channels, length], as the server computes it."""
        exact = (samples_NLC.astype(np.float64) - self.mean_C) / self.std_C
        return exact.transpose(0, 2, 1).astype(np.float32).astype(np.float64)


def read(file: Path) -> tuple[Windows, tuple[str, ...]]:
    """Read ``train.npz`` or ``test.npz``; return the windows and the names of the channels."""
    with np.load(file, allow_pickle=False) as found:
        windows = Windows(
            found["windows"], found["label"].astype(np.int64), found["engine"].astype(np.int64)
        )
        if tuple(found["names"].tolist()) != recipe.LABELS:
            message = f"{file} has other classes than {recipe.LABELS}"
            raise ValueError(message)
        return windows, tuple(found["columns"].tolist())


def folds_of(windows: Windows, seed: int) -> list[NDArray[np.bool_]]:
    """Return masks [N] of the windows of each fifth of the engines."""
    engines = np.random.default_rng(seed).permutation(np.unique(windows.engines_N))
    return [
        np.isin(windows.engines_N, engines[number :: recipe.FOLDS])
        for number in range(recipe.FOLDS)
    ]


def channels_of(windows: Windows) -> Channels:
    """Measure the channels of the windows that weights are fitted to."""
    samples = windows.samples_NLC.reshape(-1, windows.samples_NLC.shape[2]).astype(np.float64)
    mean_C, std_C = samples.mean(0), samples.std(0)
    used_C = std_C > CONSTANT * np.maximum(np.abs(mean_C), 1)
    return Channels(mean_C, np.where(used_C, std_C, 1.0), used_C)
