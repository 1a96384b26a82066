"""The input of a graph that takes images: [N, C, H, W] or [N, H, W, C]."""

from __future__ import annotations

from schemas.manifest.model_input import InputSpec, Layout
from service.core.engine.graph_check import ManifestMismatch, Shape
from service.core.engine.inputs.single import SingleInput, fits


class ImageInput(SingleInput):
    """See ``GraphInput``."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__(spec)
        self._spec = spec

    def _check_shape(self, shape: Shape) -> None:
        spec = self._spec
        _, *item = shape
        if len(item) != len(spec.shape):
            raise ManifestMismatch("input.layout", f"has 4 axes, but the graph takes {shape}")
        turned = [item[2], *item[:2]] if spec.layout is Layout.NCHW else [*item[1:], item[0]]
        if not fits(item, spec.shape) and fits(turned, spec.shape):
            raise ManifestMismatch("input.layout", f"is {spec.layout}, but the graph takes {item}")
        for axis, size, wanted in zip(spec.layout[1:], item, spec.shape, strict=True):
            if isinstance(size, int) and size != wanted:
                field = {"C": "colour", "H": "height", "W": "width"}[axis]
                raise ManifestMismatch(
                    f"input.{field}",
                    f"{spec.layout} makes {list(spec.shape)} of it, but the graph takes {item}",
                )
