"""Tests whether an image's answer depends on other images, in its batch or before it.

Graphs that were exported in training mode normalise by the statistics of the batch, drop values at
random, or update their own weights; graphs with a batch size of 1 baked into a ``Reshape`` fail on
other sizes. An answer must not depend on other callers' images.
"""

from __future__ import annotations

import numpy as np

from schemas.errors import InferenceFailed
from service.core.engine.engine import Engine, Images, Outputs
from service.core.serving.kinds.kind import Kind, in_order

TRAINING_MODE = "was it exported in training mode?"
MAX_TRIED_BATCH = 16
TOLERANCE = 0.05
"""Tolerance as a share of the largest output, above differences of kernels and INT8 rounding."""
REPEAT_TOLERANCE = 0.001
"""Tolerance for a repeated run with the same kernels; GPUs may sum in another order."""


def is_repeatable(engine: Engine, kind: Kind) -> bool:
    """Return whether the graph repeats its answer for an image after another image. Blocks.

    Raises:
        InferenceFailed: the graph does not run.
    """
    first, other, *_ = kind.varied()
    before_1K, _, after_1K = [_run(engine, kind, [item]) for item in (first, other, first)]
    return _are_close(kind, after_1K, before_1K, REPEAT_TOLERANCE)


def row_dependence(engine: Engine, kind: Kind, batch_limit: int) -> str | None:
    """Return why rows must not share a batch, as a clause; None if they may. Blocks.

    Args:
        batch_limit: largest batch that would be run, at least 2.

    Raises:
        InferenceFailed: the graph does not even run on single rows.
    """
    varied = kind.varied()
    alone_RK = np.concatenate([_run(engine, kind, [one]) for one in varied])
    size = min(batch_limit, MAX_TRIED_BATCH)
    rows = [number % len(varied) for number in range(size)]
    try:
        together_NK = _run(engine, kind, [varied[row] for row in rows])
    except InferenceFailed as error:
        return f"it fails on {size} {kind.item}s: {error.__cause__}"
    if _are_close(kind, together_NK, alone_RK[rows], TOLERANCE):
        return None
    return f"the answer for one {kind.item} depends on the others in its batch: {TRAINING_MODE}"


def _run(engine: Engine, kind: Kind, items: list[Images]) -> Outputs:
    """Run items as those of requests that wait together."""
    parts = kind.stack(items)
    return in_order(parts, [engine.run(part.images) for part in parts])


def _are_close(kind: Kind, found_NK: Outputs, expected_NK: Outputs, share: float) -> bool:
    """Compare within a share of the largest expected number; non-finite ones must be equal.

    Columns of rows of numbers may differ by orders of magnitude: each has its own largest number.
    """
    axis = None if kind.most_in_batch is None else 0
    finite_NK = np.isfinite(expected_NK)
    largest = np.abs(expected_NK).max(axis=axis, initial=0, where=finite_NK)
    return np.allclose(found_NK, expected_NK, rtol=0, atol=share * largest, equal_nan=True)
