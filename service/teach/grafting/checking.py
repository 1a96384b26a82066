"""Checks that the graph with the head computes what the head computes in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from service.teach.features.penultimate import Penultimate
from service.teach.grafting.graft import Graft, tail
from service.teach.grafting.problems import GraphDiffers

TOLERANCE = 1e-3
"""Permitted difference of a logit, as a share of the largest magnitude (at least 1)."""
_AT_A_TIME = 4096


def check_equal(features: Penultimate, graft: Graft, features_ND: NDArray[np.float32]) -> float:
    """Compare ONNX Runtime and NumPy on the features of all photos; return the largest difference.

    The rest of the path, from a photo to its features, is checked by the golden samples: their
    scores are NumPy's, and the server compares its own with them when it loads the version.

    Raises:
        GraphDiffers: a logit differs by more than ``TOLERANCE``, or is not finite.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        tail(features, graft).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    worst = 0.0
    for start in range(0, len(features_ND), _AT_A_TIME):
        some_ND = np.ascontiguousarray(features_ND[start : start + _AT_A_TIME], np.float32)
        expected_NK = graft(some_ND)
        (found_NK,) = session.run(None, {"features": some_ND})
        scale = max(1.0, float(np.abs(expected_NK).max(initial=0)))
        difference = float(np.abs(found_NK - expected_NK).max(initial=0)) / scale
        if not difference <= TOLERANCE:  # NaN too
            message = (
                f"The graph with the head differs from what was fitted by {difference:.2g}, where "
                f"{TOLERANCE:g} is permitted: the features are too large or too unlike in scale."
            )
            raise GraphDiffers(message)
        worst = max(worst, difference)
    return worst
