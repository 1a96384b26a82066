"""Tests whether an image's answer depends on other images, in its batch or before it.

Graphs that were exported in training mode normalise by the statistics of the batch, drop values at
random, or update their own weights; graphs with a batch size of 1 baked into a ``Reshape`` fail on
other sizes. An answer must not depend on other callers' images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InferenceFailed
from schemas.model_input import Dtype, Layout
from schemas.models import ModelInput
from schemas.series import SeriesSpec
from service.core.engine.engine import Engine, Images
from service.core.serving.noise import noise, standard_noise

TRAINING_MODE = "was it exported in training mode?"
MAX_TRIED_BATCH = 16
TOLERANCE = 0.05
"""Tolerance as a share of the largest output, above differences of kernels and INT8 rounding."""
REPEAT_TOLERANCE = 0.001
"""Tolerance for a repeated run with the same kernels; GPUs may sum in another order."""


def is_repeatable(engine: Engine, spec: ModelInput) -> bool:
    """Return whether the graph repeats its answer for an image after another image. Blocks.

    Raises:
        InferenceFailed: the graph does not run.
    """
    first, other, *_ = _images(spec)
    before_1K, _, after_1K = [engine.run(image[np.newaxis]) for image in (first, other, first)]
    return _are_close(after_1K, before_1K, REPEAT_TOLERANCE)


def row_dependence(engine: Engine, spec: ModelInput, batch_limit: int) -> str | None:
    """Return why rows must not share a batch, as a clause; None if they may. Blocks.

    Args:
        batch_limit: largest batch that would be run, at least 2.

    Raises:
        InferenceFailed: the graph does not even run on single rows.
    """
    images = _images(spec)
    alone_RK = np.concatenate([engine.run(image[np.newaxis]) for image in images])
    size = min(batch_limit, MAX_TRIED_BATCH)
    rows = np.arange(size) % len(images)
    try:
        together_NK = engine.run(images[rows])
    except InferenceFailed as error:
        return f"it fails on {size} {spec.item}s: {error.__cause__}"
    if _are_close(together_NK, alone_RK[rows], TOLERANCE):
        return None
    return f"the answer for one {spec.item} depends on the others in its batch: {TRAINING_MODE}"


def _are_close(
    found_NK: NDArray[np.float32], expected_NK: NDArray[np.float32], share: float
) -> bool:
    """Compare within a share of the largest expected value; non-finite values must be equal."""
    largest = np.abs(expected_NK).max(initial=0, where=np.isfinite(expected_NK))
    return np.allclose(found_NK, expected_NK, rtol=0, atol=share * largest, equal_nan=True)


def _images(spec: ModelInput) -> Images:
    """Return tensors of noise, a bright, a dark and a faint image, with different statistics."""
    if isinstance(spec, SeriesSpec):
        noise_CL = standard_noise(spec.shape)
        return np.stack([noise_CL, noise_CL / 8 + 2, noise_CL / 8 - 2, noise_CL / 4])
    plain = noise(spec.shape)
    pixels = np.stack([plain, plain // 8 + 220, plain // 8, plain // 4 + 96])
    if spec.dtype is Dtype.UINT8:
        return pixels
    channels = (-1, 1, 1) if spec.layout is Layout.NCHW else (-1,)
    mean, std = (np.array(given, np.float32).reshape(channels) for given in (spec.mean, spec.std))
    return (pixels * np.float32(spec.scale) - mean) / std
