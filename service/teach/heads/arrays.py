"""Arrays of features, and features of length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Features = NDArray[np.floating[Any]]

LEAST_LENGTH = 1e-12


def of_length_one(features_ND: Features) -> Numbers:
    """Return features divided by their length, float64 [N, D]; zeros stay zeros."""
    x_ND = np.asarray(features_ND, np.float64)
    lengths_N1 = np.sqrt(np.einsum("nd,nd->n", x_ND, x_ND))[:, np.newaxis]
    unit_ND: Numbers = x_ND / np.maximum(lengths_N1, LEAST_LENGTH)
    return unit_ND
