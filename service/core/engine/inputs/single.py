"""Kinds whose graph takes one tensor: [N, ...], items of one shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import numpy as np

from service.core.engine.engine import Images
from service.core.engine.graph_check import (
    ONNX_TYPES,
    GraphTensor,
    ManifestMismatch,
    Shape,
    listed,
)


class SingleSpec(Protocol):
    """The input of a manifest, as far as all of these kinds have it."""

    @property
    def name(self) -> str:
        """The graph's input."""

    @property
    def dtype(self) -> str:
        """Its type in NumPy's words."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""

    @property
    def batch(self) -> Literal["dynamic"] | int:
        """The graph's batch axis."""


class SingleInput(ABC):
    """See ``GraphInput``."""

    def __init__(self, spec: SingleSpec) -> None:
        self._single = spec

    def check(self, tensors: Iterable[GraphTensor]) -> None:
        """See ``GraphInput.check``."""
        spec = self._single
        inputs = {tensor.name: tensor for tensor in tensors}
        if set(inputs) != {spec.name}:
            raise ManifestMismatch(
                "input.name", f"is '{spec.name}', but the graph takes {listed(inputs)}"
            )
        node = inputs[spec.name]
        if node.type != ONNX_TYPES[spec.dtype]:
            raise ManifestMismatch(
                "input.dtype", f"is {spec.dtype}, but the graph takes {node.type}"
            )
        self._check_shape(node.shape)
        batch = node.shape[0]
        if isinstance(batch, int) and batch != spec.batch:
            raise ManifestMismatch("input.batch", f"is {spec.batch}, but the graph's is {batch}")

    def blank(self, count: int) -> Images:
        """See ``GraphInput.blank``."""
        spec = self._single
        batch: Images = np.zeros((count, *spec.shape), spec.dtype)
        return batch

    def feeds(self, batch: Images) -> dict[str, Images]:
        """See ``GraphInput.feeds``."""
        return {self._single.name: batch}

    @abstractmethod
    def _check_shape(self, shape: Shape) -> None:
        """Raise ``ManifestMismatch`` unless the graph takes items of the manifest's shape."""


def fits(sizes: Shape, wanted: Sequence[int]) -> bool:
    """Return whether the fixed sizes are as wanted; names stand for sizes that may vary."""
    pairs = zip(sizes, wanted, strict=True)
    return all(size == want for size, want in pairs if isinstance(size, int))
