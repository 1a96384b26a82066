"""Conversion of raw outputs to calibrated probabilities, and selection of the best k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InferenceFailed
from schemas.model_output import OutputSpec


def probabilities(
    output_NK: NDArray[np.float32], spec: OutputSpec, temperature: float
) -> NDArray[np.float32]:
    """Return probabilities [N, K'] of the labelled classes; independent if multi-label.

    Args:
        output_NK: engine output, [N, K]; not changed.
        spec: logits go through a softmax at ``temperature`` (Guo et al., 2017); classes before
            ``label_offset`` are dropped afterwards.

    Raises:
        InferenceFailed: the outputs are not finite, so that classes cannot be compared.
    """
    if not np.isfinite(output_NK).all():
        raise InferenceFailed
    if spec.kind == "logits":
        # The largest is subtracted, not the largest magnitude: exp never overflows.
        shifted = output_NK - output_NK.max(axis=1, keepdims=True)
        if temperature != 1:
            shifted /= temperature
        np.exp(shifted, out=shifted)
        shifted /= shifted.sum(axis=1, keepdims=True)
        output_NK = shifted
    return output_NK[:, spec.label_offset :]


def top_k(probabilities_K: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the indices of the ``min(k, K)`` best, best first; ties by lower index."""
    count = probabilities_K.size
    if k >= count:
        candidates = np.arange(count)
    else:
        # All values not below the k-th best, so that ties at the limit are ordered by index too.
        edge = np.partition(probabilities_K, count - k)[count - k]
        candidates = np.flatnonzero(probabilities_K >= edge)
    order = np.argsort(-probabilities_K[candidates], kind="stable")
    return candidates[order][:k]
