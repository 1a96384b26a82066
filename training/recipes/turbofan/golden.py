"""Golden samples: random walks drawn by this file, which may be shipped with the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.recipes.turbofan import recipe
from training.recipes.turbofan.data import Channels

SEEDS = {"walk-1.npy": 1, "walk-2.npy": 2, "walk-3.npy": 3}


def windows(channels: Channels) -> dict[str, NDArray[np.float32]]:
    """File name to a window [length, channels] around the channels' means; none is measured."""
    return {name: _walk(channels, seed) for name, seed in SEEDS.items()}


def _walk(channels: Channels, seed: int) -> NDArray[np.float32]:
    dice = np.random.default_rng(seed)
    steps = dice.normal(0, 0.25, (recipe.LENGTH, recipe.CHANNELS)) + dice.normal(0, 0.05, 24)
    walk = np.cumsum(steps, 0) * channels.used_C
    return (channels.mean_C + walk * channels.std_C).astype(np.float32)
