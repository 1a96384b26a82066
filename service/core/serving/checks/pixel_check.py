"""Whether an engine that normalises pixels answers as it does to normalised tensors; by runs."""

from __future__ import annotations

import numpy as np

from schemas.errors import InferenceFailed
from schemas.manifest.model_input import InputSpec
from service.core.engine.engine import Engine
from service.core.imaging.preprocessing import TensorConverter, pixel_spec
from service.core.serving.checks.noise import shuffled


def pixel_difference(engine: Engine, spec: InputSpec) -> str | None:
    """Return why pixels must be normalised before the graph, as a clause; None if they need not.

    The answers must be equal to the last bit, for noise that has all levels in all channels, as
    far as the image has room for them. Blocks.

    Args:
        spec: the input of the graph, as in the manifest.
    """
    height, width, channels = pixel_spec(spec).shape
    levels = np.resize(np.arange(256, dtype=np.uint8), (channels, height * width))
    pixels = np.ascontiguousarray(shuffled(levels).T).reshape(height, width, channels)
    try:
        by_graph = engine.run(pixels[np.newaxis])
        by_numpy = engine.run(TensorConverter(spec)(pixels)[np.newaxis])
    except InferenceFailed as error:
        return f"the graph fails: {error.__cause__}"
    if np.array_equal(by_graph, by_numpy, equal_nan=True):
        return None
    return f"answers differ by up to {np.abs(by_graph - by_numpy).max():.2g}"
