"""Checks that a manifest describes a graph, alike for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.model_input import Dtype, InputSpec, Layout
from schemas.models import ModelManifest
from schemas.series import SeriesSpec

ONNX_TYPES = {Dtype.FLOAT32: "tensor(float)", Dtype.UINT8: "tensor(uint8)"}


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
    def shape(self) -> Sequence[int | str | None]:
        """The sizes; names or None stand for sizes that may vary, an empty list for any shape."""


def check_input(tensors: Iterable[GraphTensor], manifest: ModelManifest) -> None:
    """Check the manifest's input against the inputs of the graph.

    Raises:
        ManifestMismatch: it does not describe the only input.
    """
    spec = manifest.input
    inputs = {tensor.name: tensor for tensor in tensors}
    if set(inputs) != {spec.name}:
        raise ManifestMismatch(
            "input.name", f"is '{spec.name}', but the graph takes {_listed(inputs)}"
        )
    node = inputs[spec.name]
    if node.type != ONNX_TYPES[spec.dtype]:
        raise ManifestMismatch("input.dtype", f"is {spec.dtype}, but the graph takes {node.type}")
    if isinstance(spec, SeriesSpec):
        _check_series(node.shape, spec)
    else:
        _check_image(node.shape, spec)
    batch = node.shape[0]
    if isinstance(batch, int) and batch != spec.batch:
        raise ManifestMismatch("input.batch", f"is {spec.batch}, but the graph's is {batch}")


def _check_series(shape: Sequence[int | str | None], spec: SeriesSpec) -> None:
    """Raise ``ManifestMismatch`` unless the graph takes [N, channels, length]."""
    _, *item = shape or [None]
    if len(item) != len(spec.shape):
        raise ManifestMismatch("input.kind", f"has 3 axes, but the graph takes {list(shape)}")
    for field, size, wanted in zip(("channels", "length"), item, spec.shape, strict=True):
        if isinstance(size, int) and size != wanted:
            raise ManifestMismatch(f"input.{field}", f"is {wanted}, but the graph takes {item}")


def _check_image(shape: Sequence[int | str | None], spec: InputSpec) -> None:
    """Raise ``ManifestMismatch`` unless the graph takes images of this layout and size."""
    _, *item = shape
    if len(item) != len(spec.shape):
        raise ManifestMismatch("input.layout", f"has 4 axes, but the graph takes {shape}")
    turned = [item[2], *item[:2]] if spec.layout is Layout.NCHW else [*item[1:], item[0]]
    if not _fits(item, spec.shape) and _fits(turned, spec.shape):
        raise ManifestMismatch("input.layout", f"is {spec.layout}, but the graph takes {item}")
    for axis, size, wanted in zip(spec.layout[1:], item, spec.shape, strict=True):
        if isinstance(size, int) and size != wanted:
            field = {"C": "colour", "H": "height", "W": "width"}[axis]
            raise ManifestMismatch(
                f"input.{field}",
                f"{spec.layout} makes {list(spec.shape)} of it, but the graph takes {item}",
            )


def check_output(tensors: Iterable[GraphTensor], manifest: ModelManifest) -> None:
    """Check the manifest's output against the outputs of the graph.

    Raises:
        ManifestMismatch: the graph has no such output, or of another type or rank.
    """
    spec = manifest.output
    outputs = {tensor.name: tensor for tensor in tensors}
    if spec.name not in outputs:
        raise ManifestMismatch(
            "output.name", f"is '{spec.name}', but the graph gives {_listed(outputs)}"
        )
    node = outputs[spec.name]
    if node.type != "tensor(float)":
        raise ManifestMismatch("output.name", f"is {node.type}; only float32 outputs are read")
    if node.shape and len(node.shape) != spec.rank:
        raise ManifestMismatch(
            "output.rank", f"is {spec.rank}, but the graph gives {list(node.shape)}"
        )


def _fits(sizes: Sequence[int | str | None], wanted: Sequence[int]) -> bool:
    """Return whether the fixed sizes are as wanted; names stand for sizes that may vary."""
    pairs = zip(sizes, wanted, strict=True)
    return all(size == want for size, want in pairs if isinstance(size, int))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
