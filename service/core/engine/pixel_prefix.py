"""Normalisation in front of a graph: a second input for pixels, written into the model in memory.

::

    potoo.pixels  uint8 [P, H, W, C] ─ transpose, reverse, cast, multiply, add ─┐
                                                                     concatenate ─► the graph
    potoo.tensors float32 [T, ...] ──────────────────────────────────────────────┘

One graph takes both, so that its weights are in memory once; a run feeds one of them, the other
with no rows. NumPy would give up the interpreter's lock six times an image to compute the same.

If the graph's first node quantises pixels to themselves, as in INT8 graphs of networks trained on
0..1, pixels enter behind that node, and are never float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.manifest.model_input import Colour, Dtype, InputSpec, Layout
from service.core.engine import onnx_wire as wire
from service.core.engine.normalisation import Numbers, gain_and_bias
from service.core.engine.onnx_wire import GraphField, ModelField, Node, Value

PIXELS, TENSORS = "potoo.pixels", "potoo.tensors"
"""Names of the two inputs."""
MAX_MODEL_BYTES = 2**28
"""The model is copied in memory; a run of a larger one takes a thousand times as long as NumPy."""
FIRST_OPSET = 7
"""Operators broadcast from this version on."""
_FLOAT = 1


class NoPixels(Exception):
    """Pixels cannot enter this graph; the message says why, as a clause."""


@dataclass(frozen=True, slots=True)
class PixelModel:
    """A model with the inputs ``PIXELS`` and ``TENSORS``.

    data: an ONNX model; its external data, if any, is beside the original file.
    given: the original input, in place of which ``TENSORS`` is.
    is_quantised: whether pixels enter behind the graph's first node.
    """

    data: bytes
    given: Value
    is_quantised: bool


@dataclass(frozen=True, slots=True)
class _Edge:
    """The first part of a graph: fields to keep, the input, its readers, small constants."""

    kept: list[memoryview]
    given: Value
    readers: list[tuple[Node, memoryview]]
    initializers: dict[str, memoryview]


def with_pixels(file: Path, spec: InputSpec) -> PixelModel:
    """Read a model and write the pixels' input in front of it.

    Raises:
        NoPixels: the manifest, the operators' version or the file does not allow it.
    """
    if spec.dtype is not Dtype.FLOAT32:
        raise NoPixels("the graph takes pixels as they are")
    if file.stat().st_size > MAX_MODEL_BYTES:
        raise NoPixels(f"the model has more than {MAX_MODEL_BYTES >> 20} MiB")
    try:
        return _written(memoryview(file.read_bytes()), spec)
    except (wire.Malformed, UnicodeDecodeError) as error:
        raise NoPixels(f"the model cannot be read: {error}") from error


def _written(model: memoryview, spec: InputSpec) -> PixelModel:
    rest: list[memoryview] = []
    graph, version = memoryview(b""), None
    for field in wire.fields(model):
        if field.number == ModelField.GRAPH:
            graph = field.content
            continue
        if field.number == ModelField.OPSET:
            version = version or wire.opset(field.content)
        rest.append(field.whole)
    if version is None or version < FIRST_OPSET:
        raise NoPixels(f"its operators are of version {version}, before {FIRST_OPSET}")
    edge = _edge(graph, spec.name)
    given = edge.given
    if given.element_type != _FLOAT or len(given.shape) != len(spec.shape) + 1:
        raise NoPixels(f"the graph's input '{spec.name}' is no float32 image")
    front = [
        wire.input_bytes(PIXELS, 2, ("potoo.P", spec.height, spec.width, spec.colour.channels)),
        wire.input_bytes(TENSORS, _FLOAT, ("potoo.T", *_named(given.shape[1:]))),
    ]
    quantiser = _exact_quantiser(edge, spec)
    if quantiser is None:
        front += _normalised(spec)
        front.append(_joined("potoo.n", TENSORS, spec.name))
    else:
        node, whole = quantiser
        edge.kept.remove(whole)
        front += _ordered(spec)
        front.append(wire.node_bytes(node.operator, (TENSORS, *node.inputs[1:]), "potoo.q"))
        front.append(_joined("potoo.p", "potoo.q", node.outputs[0]))
    parts: list[bytes | memoryview] = [*front, *edge.kept]
    begin = wire.head(ModelField.GRAPH, sum(map(len, parts)))
    return PixelModel(b"".join([*rest, begin, *parts]), given, quantiser is not None)


def _edge(graph: memoryview, name: str) -> _Edge:
    """Read the front of a graph.

    Raises:
        NoPixels: it has no input of this name.
    """
    kept: list[memoryview] = []
    given: Value | None = None
    readers: list[tuple[Node, memoryview]] = []
    initializers: dict[str, memoryview] = {}
    for field in wire.fields(graph):
        kept.append(field.whole)
        if field.number == GraphField.INPUT:
            value = wire.value(field.content)
            if value.name == name:
                given = value
                kept.pop()
        elif field.number == GraphField.NODE:
            node = wire.node(field.content)
            if name in node.inputs:
                readers.append((node, field.whole))
        elif field.number == GraphField.INITIALIZER and len(field.content) < 1024:
            initializers[wire.tensor_name(field.content)] = field.content
    if given is None or name in initializers:
        raise NoPixels(f"the graph has no input '{name}'")
    return _Edge(kept, given, readers, initializers)


def _exact_quantiser(edge: _Edge, spec: InputSpec) -> tuple[Node, memoryview] | None:
    """Return the input's only reader if it maps each pixel, normalised, to itself as uint8."""
    if len(edge.readers) != 1:
        return None
    node, whole = edge.readers[0]
    if node.operator != "QuantizeLinear" or node.domain or len(node.inputs) != 3:
        return None
    found = [edge.initializers.get(name) for name in node.inputs[1:]]
    scale, zero = (None if one is None else wire.scalar(one) for one in found)
    if scale is None or zero is None or scale.dtype != np.float32 or zero.dtype != np.uint8:
        return None
    levels = np.arange(256, dtype=np.float32)
    for gain, bias in zip(*gain_and_bias(spec), strict=True):
        # ONNX rounds halves to even, as NumPy does, and saturates.
        quantised = np.rint((levels * gain + bias) / scale) + zero
        if not np.array_equal(np.clip(quantised, 0, 255), levels):
            return None
    return node, whole


def _ordered(spec: InputSpec) -> Iterator[bytes]:
    """Yield nodes that bring pixels into the order of the graph's axes and colours."""
    source, axes = PIXELS, (0, 3, 1, 2)
    if spec.colour is Colour.BGR:
        yield from _reversed_planes()
        source, axes = "potoo.r", (0, 2, 3, 1)
    if (spec.colour is Colour.BGR) == (spec.layout is Layout.NCHW):
        yield wire.node_bytes("Identity", (source,), "potoo.p")
    else:
        yield _transposed(source, axes, "potoo.p")


def _normalised(spec: InputSpec) -> Iterator[bytes]:
    """Yield nodes that normalise pixels, and bring them into the order of the graph.

    ONNX Runtime repeats short constants slowly: three numbers along the last axis take eight times
    as long as a row of all pixels. It may move a Transpose behind the multiplication. So pixels are
    normalised in rows, unless BGR needs planes; and Gather works on planes alone, for its speed.
    """
    gain, bias = gain_and_bias(spec)
    if spec.colour is Colour.BGR and spec.layout is Layout.NCHW:
        yield from _reversed_planes()
        yield from _scaled("potoo.r", gain.reshape(-1, 1, 1), bias.reshape(-1, 1, 1), "potoo.n")
        return
    source = PIXELS
    if spec.colour is Colour.BGR:
        yield from _reversed_planes()
        yield _transposed("potoo.r", (0, 2, 3, 1), "potoo.p")
        source = "potoo.p"
    gain, bias = (np.tile(each, (spec.width, 1)) for each in (gain, bias))
    if spec.layout is Layout.NHWC:
        yield from _scaled(source, gain, bias, "potoo.n")
    else:
        yield from _scaled(source, gain, bias, "potoo.s")
        yield _transposed("potoo.s", (0, 3, 1, 2), "potoo.n")


def _reversed_planes() -> Iterator[bytes]:
    """Yield nodes that turn RGB pixels [N, H, W, 3] into planes [N, 3, H, W] of BGR."""
    yield wire.constant("potoo.order", np.array([2, 1, 0], np.int64))
    yield _transposed(PIXELS, (0, 3, 1, 2), "potoo.t")
    yield wire.node_bytes("Gather", ("potoo.t", "potoo.order"), "potoo.r", wire.integer("axis", 1))


def _scaled(source: str, gain: Numbers, bias: Numbers, output: str) -> Iterator[bytes]:
    yield wire.constant("potoo.gain", gain)
    yield wire.constant("potoo.bias", bias)
    yield wire.node_bytes("Cast", (source,), "potoo.f", wire.integer("to", _FLOAT))
    yield wire.node_bytes("Mul", ("potoo.f", "potoo.gain"), "potoo.m")
    yield wire.node_bytes("Add", ("potoo.m", "potoo.bias"), output)


def _transposed(source: str, axes: tuple[int, ...], output: str) -> bytes:
    return wire.node_bytes("Transpose", (source,), output, wire.integers("perm", axes))


def _joined(pixels: str, tensors: str, output: str) -> bytes:
    return wire.node_bytes("Concat", (pixels, tensors), output, wire.integer("axis", 0))


def _named(sizes: wire.Shape) -> wire.Shape:
    """Name the sizes that vary without a name, since an empty name is none."""
    return tuple(size or f"potoo.{axis}" for axis, size in enumerate(sizes))
