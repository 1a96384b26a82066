"""Noise to try a model with, the same in every process.

Not by ``numpy.random``, which nothing else of a server imports: it takes 3 MiB.
"""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

_SEED = 0
MEAN, DEVIATION = 127.5, 73.9
"""Of the levels 0..255, each as likely as the others."""


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return pixels of 0..255, each level as likely as the others."""
    levels = random.Random(_SEED).randbytes(math.prod(shape))  # noqa: S311 - no secret
    return np.frombuffer(levels, np.uint8).reshape(shape)


def standard_noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return samples with mean 0 and standard deviation 1, between -1.7 and 1.7."""
    return (noise(shape) - np.float32(MEAN)) / np.float32(DEVIATION)


def shuffled(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return each row [N] of ``rows`` [R, N] in an order of its own."""
    keys = random.Random(_SEED).randbytes(8 * rows.size)  # noqa: S311 - no secret
    order = np.frombuffer(keys, np.uint64).reshape(rows.shape).argsort(axis=1)
    return np.take_along_axis(rows, order, axis=1)
