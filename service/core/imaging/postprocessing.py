"""Conversion of raw outputs to calibrated probabilities, and selection of the best k.

NumPy gives up the interpreter's lock in calls on more than 500 numbers, and wins it back while the
event loop wants it too. So there are few such calls, the cheapest that do: ``argmax`` takes a third
of the time of ``max``. (Blocks of 500 numbers keep the lock, and take longer than they save.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InferenceFailed
from schemas.manifest.model_output import OutputSpec
from service.core.engine.engine import Outputs

KEPT_LOCK = 500
"""Numbers up to which NumPy keeps the lock."""


def probabilities(output_NK: Outputs, spec: OutputSpec, temperature: float) -> Outputs:
    """Return probabilities [N, K'] of the labelled classes; independent if multi-label.

    Args:
        output_NK: engine output, [N, K]; not changed.
        spec: logits go through a softmax at ``temperature`` (Guo et al., 2017); classes before
            ``label_offset`` are dropped afterwards.

    Raises:
        InferenceFailed: the outputs are not finite, so that classes cannot be compared.
    """
    if spec.kind != "logits":
        if not all(map(_is_finite, output_NK)):
            raise InferenceFailed
        return output_NK[:, spec.label_offset :]
    if is_small(output_NK):
        return _softmax_each(output_NK, temperature)[:, spec.label_offset :]
    shares_NK = np.empty_like(output_NK)
    for logits_K, shares_K in zip(output_NK, shares_NK, strict=True):
        _softmax(logits_K, temperature, shares_K)
    return shares_NK[:, spec.label_offset :]


def _is_finite(array_K: Outputs) -> bool:
    """Return whether all numbers are finite; NaN is the largest and the smallest to NumPy."""
    largest, smallest = array_K[array_K.argmax()], array_K[array_K.argmin()]
    return math.isfinite(float(largest) - float(smallest))


def _softmax(logits_K: Outputs, temperature: float, shares_K: Outputs) -> None:
    """Write exp(logits / temperature), divided by their sum, to ``shares_K``.

    Raises:
        InferenceFailed: a logit is not finite.
    """
    largest, smallest = float(logits_K[logits_K.argmax()]), float(logits_K[logits_K.argmin()])
    if not math.isfinite(largest - smallest):
        raise InferenceFailed
    # The largest is subtracted, not the largest magnitude: exp never overflows.
    np.subtract(logits_K, largest, out=shares_K)
    if temperature != 1:
        np.divide(shares_K, temperature, out=shares_K)
    np.exp(shares_K, out=shares_K)
    np.divide(shares_K, np.add.reduce(shares_K), out=shares_K)


def _softmax_each(logits_NK: Outputs, temperature: float) -> Outputs:
    """Return what ``_softmax`` returns for each row, in as many calls as for one.

    Raises:
        InferenceFailed: a logit is not finite.
    """
    if not np.isfinite(logits_NK).all():
        raise InferenceFailed
    shares_NK = np.empty_like(logits_NK)
    np.subtract(logits_NK, logits_NK.max(axis=1, keepdims=True), out=shares_NK)
    if temperature != 1:
        np.divide(shares_NK, temperature, out=shares_NK)
    np.exp(shares_NK, out=shares_NK)
    np.divide(shares_NK, np.add.reduce(shares_NK, axis=1, keepdims=True), out=shares_NK)
    return shares_NK


def is_small(array_NK: Outputs) -> bool:
    """Return whether several rows together are so few numbers that NumPy keeps the lock."""
    return len(array_NK) > 1 and array_NK.size <= KEPT_LOCK


def top_k_each(probabilities_NK: Outputs, k: int) -> NDArray[np.intp]:
    """Return what ``top_k`` returns for each row, [N, min(k, K)], in one call."""
    return np.argsort(-probabilities_NK, axis=1, kind="stable")[:, :k]


def top_k(probabilities_K: Outputs, k: int) -> NDArray[np.intp]:
    """Return the indices of the ``min(k, K)`` best, best first; ties by lower index."""
    count = probabilities_K.size
    if k < count:
        # In their places: the k+1-th largest, and behind it, in any order, those above it.
        order_K = np.argpartition(probabilities_K, count - k - 1)[count - k - 1 :]
        below, *largest = probabilities_K[order_K].tolist()
        if min(largest) > below:
            ranked = sorted(zip((-share for share in largest), order_K[1:].tolist(), strict=True))
            return np.array([index for _, index in ranked], np.intp)
    return np.argsort(-probabilities_K, kind="stable")[:k]  # equals at the edge go by index
