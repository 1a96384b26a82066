"""Checks that a manifest describes a graph, alike for every engine; of its inputs: ``inputs``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.models import ModelManifest

ONNX_TYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "uint8": "tensor(uint8)",
}
"""ONNX Runtime's name of each type of an input."""

Shape = Sequence[int | str | None]
"""The sizes of a tensor; names or None stand for sizes that may vary, an empty list for any shape.
"""


class ManifestMismatch(Exception):
    """The manifest does not describe this graph; the message names the field."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"manifest field {field}: {reason}")


class GraphTensor(Protocol):
    """An input or output of a graph, as ONNX Runtime describes it (``NodeArg``)."""

    @property
    def name(self) -> str:
        """The name in the graph."""

    @property
    def type(self) -> str:
        """The type in ONNX Runtime's words, such as ``tensor(float)``."""

    @property
    def shape(self) -> Shape:
        """The sizes."""


def check_output(tensors: Iterable[GraphTensor], manifest: ModelManifest) -> None:
    """Check the manifest's output against the outputs of the graph.

    Raises:
        ManifestMismatch: the graph has no such output, or of another type or rank.
    """
    spec = manifest.output
    outputs = {tensor.name: tensor for tensor in tensors}
    if spec.name not in outputs:
        raise ManifestMismatch(
            "output.name", f"is '{spec.name}', but the graph gives {listed(outputs)}"
        )
    node = outputs[spec.name]
    if node.type != "tensor(float)" and (node.type, spec.kind) != ("tensor(double)", "values"):
        also = ", and float64 ones" if spec.kind == "values" else ""
        raise ManifestMismatch(
            "output.name", f"is {node.type}; only float32 outputs{also} are read"
        )
    if node.shape and len(node.shape) != spec.rank:
        raise ManifestMismatch(
            "output.rank", f"is {spec.rank}, but the graph gives {list(node.shape)}"
        )


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, for messages."""
    return ", ".join(f"'{name}'" for name in names) or "nothing"
