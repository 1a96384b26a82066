"""The input of a graph that takes rows of numbers: [N, columns]."""

from __future__ import annotations

from schemas.manifest.numeric import NumericSpec
from service.core.engine.graph_check import ManifestMismatch, Shape
from service.core.engine.inputs.single import SingleInput


class NumericInput(SingleInput):
    """See ``GraphInput``."""

    def __init__(self, spec: NumericSpec) -> None:
        super().__init__(spec)
        self._spec = spec

    def _check_shape(self, shape: Shape) -> None:
        _, *item = shape or [None]
        if len(item) != 1:
            raise ManifestMismatch("input.kind", f"has 2 axes, but the graph takes {list(shape)}")
        columns = self._spec.columns
        if isinstance(item[0], int) and item[0] != columns:
            raise ManifestMismatch(
                "input.columns", f"is {columns}, but the graph takes {list(shape)}"
            )
