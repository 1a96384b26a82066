"""The numbers that turn pixels into the input of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.manifest.model_input import InputSpec

Numbers = NDArray[np.float32]


def gain_and_bias(spec: InputSpec) -> tuple[Numbers, Numbers]:
    """Return the gain and bias of each channel, in the order of ``spec.colour``.

    ``pixel * gain + bias`` is ``(pixel * scale - mean) / std``. Round to float32 after the
    multiplication and after the addition: then all ways to compute it are equal to the last bit.
    """
    channels = spec.colour.channels
    std = np.broadcast_to(np.asarray(spec.std, np.float64), channels)
    mean = np.broadcast_to(np.asarray(spec.mean, np.float64), channels)
    return (spec.scale / std).astype(np.float32), (-mean / std).astype(np.float32)
