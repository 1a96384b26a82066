"""The seam to whatever runs the network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32] | NDArray[np.uint8]
"""A batch in the manifest's layout and dtype: [N, C, H, W] or [N, H, W, C]."""


class Engine(Protocol):
    """Runs one model. ``run`` may be called from several threads at once."""

    @property
    def max_batch_size(self) -> int | None:
        """The most images a run may take; None if there is no limit."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one item's output, as the graph has it; known after the first run."""

    def run(self, images: Images, *, alone: bool = False) -> NDArray[np.float32]:
        """Images to raw outputs [N, K], in which there may be numbers that are not finite.

        Args:
            alone: whether nothing else is being worked on, so that every core may help.

        Raises:
            InferenceFailed: if the runtime fails.
        """

    def close(self) -> None:
        """Gives the memory back; no run may follow."""
