"""Runs of any engine: fill up a partial batch, check the rows of the output, measure the time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from schemas.errors import InferenceFailed
from service.core.engine.engine import Images, Outputs

Run = Callable[[Images], Outputs]
"""Run a batch of the graph's size; return its output, [N, ...]. May raise ``InferenceFailed``."""


def run_filled(run: Run, images: Images, size: int | None) -> Outputs:
    """Return the output for ``images``, [N, ...].

    Args:
        size: fixed batch size of the graph, at least N, up to which zeros are added; None if there
            is none.

    Raises:
        InferenceFailed: the run fails, or its rows are not as many as those of the batch.
    """
    count = len(images)
    if size is not None and count != size:
        filled = np.zeros((size, *images.shape[1:]), images.dtype)
        filled[:count] = images
        images = filled
    output = run(images)
    if len(output) != len(images):
        message = f"the graph gives {len(output)} rows for {len(images)} images"
        raise InferenceFailed from ValueError(message)
    return output[:count]


def seconds_of_run(run: Run, blank: Images, clock: Callable[[], float]) -> float:
    """Return the least seconds of three runs of a blank item; 0 if one fails (seen later)."""
    seconds = []
    for _ in range(3):
        began = clock()
        try:
            run(blank)
        except InferenceFailed:
            return 0.0
        seconds.append(clock() - began)
    return min(seconds)
