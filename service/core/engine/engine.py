"""The interface of an inference engine."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.uint8] | NDArray[np.int64]
"""A batch in the manifest's layout and dtype: [N, C, H, W] or [N, H, W, C]; of windows [N, C, L];
of rows of numbers [N, C]; of texts int64 [N, P, L], a plane for each input of the graph.

Or, where the manifest's dtype is float32 and ``Engine.takes_pixels``, a batch of pixels: uint8
[N, H, W, C], RGB or grey, 0..255, before any normalising.
"""

Outputs = NDArray[np.floating[Any]]
"""Raw outputs, float32; float64 where the graph's are, of output kind ``values``."""

WORTH_SHARING_SECONDS = 0.003
"""A shorter run gains nothing from several threads: waking them takes as long."""


class Engine(Protocol):
    """An engine for one model. ``run`` may be called from several threads at once."""

    @property
    def max_batch_size(self) -> int | None:
        """The largest batch that ``run`` takes; None if there is no limit."""

    @property
    def takes_pixels(self) -> bool:
        """Whether ``run`` also takes pixels, and normalises them; see ``Images``."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The output shape of one item, as in the graph; known after the first run."""

    def run(self, images: Images, *, alone: bool = False) -> Outputs:
        """Return the raw outputs [N, K] of a batch; they may contain non-finite numbers.

        Args:
            alone: whether no other job is running, so that the run may use every core.

        Raises:
            InferenceFailed: if the runtime fails.
        """

    def shrink(self) -> None:
        """Free the memory that past runs keep for the next ones, which then take it again.

        Raises:
            InferenceFailed: if the runtime fails.
        """

    def close(self) -> None:
        """Release the memory; no run may follow."""
