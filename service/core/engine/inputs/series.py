"""The input of a graph that takes windows of samples: [N, channels, length]."""

from __future__ import annotations

from schemas.manifest.series import SeriesSpec
from service.core.engine.graph_check import ManifestMismatch, Shape
from service.core.engine.inputs.single import SingleInput


class SeriesInput(SingleInput):
    """See ``GraphInput``."""

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__(spec)
        self._spec = spec

    def _check_shape(self, shape: Shape) -> None:
        spec = self._spec
        _, *item = shape or [None]
        if len(item) != len(spec.shape):
            raise ManifestMismatch("input.kind", f"has 3 axes, but the graph takes {list(shape)}")
        for field, size, wanted in zip(("channels", "length"), item, spec.shape, strict=True):
            if isinstance(size, int) and size != wanted:
                raise ManifestMismatch(f"input.{field}", f"is {wanted}, but the graph takes {item}")
