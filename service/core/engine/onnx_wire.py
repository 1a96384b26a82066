"""ONNX messages as bytes: enough to read a graph's edge and to write nodes in front of it.

The ``onnx`` package would take memory, and parse every weight. Field numbers are those of
``onnx.proto``; the encoding is that of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FLOAT, _UINT8, _INT64 = 1, 2, 7
"""Element types of ``TensorProto``."""
_NUMPY_TYPES = {_FLOAT: np.float32, _UINT8: np.uint8, _INT64: np.int64}

Shape = tuple[int | str, ...]
"""Sizes; names or empty strings stand for sizes that may vary."""


class Malformed(ValueError):
    """The bytes are no message of this kind."""


class ModelField(IntEnum):
    """Fields of ``ModelProto``."""

    GRAPH = 7
    OPSET = 8


class GraphField(IntEnum):
    """Fields of ``GraphProto``."""

    NODE = 1
    INITIALIZER = 5
    INPUT = 11
    VALUE_INFO = 13


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message. ``content``: of a length-delimited one, else empty.

    whole: the field with its tag, to be copied.
    """

    number: int
    content: memoryview
    value: int
    whole: memoryview


@dataclass(frozen=True, slots=True)
class Node:
    """A node's ends, operator and domain."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str


@dataclass(frozen=True, slots=True)
class Value:
    """A graph's input: its element type (``TensorProto.DataType``) and shape."""

    name: str
    element_type: int
    shape: Shape


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in order.

    Raises:
        Malformed: this is no message.
    """
    at, end = 0, len(message)
    while at < end:
        began = at
        tag, at = _varint(message, at)
        kind, value, size = tag & 7, 0, 0
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind == _LENGTH:
            size, at = _varint(message, at)
        elif kind in {_FIXED32, _FIXED64}:
            at += 4 if kind == _FIXED32 else 8
        else:
            raise Malformed(f"wire type {kind}")
        if at + size > end:
            raise Malformed("a field is longer than its message")
        yield Field(tag >> 3, message[at : at + size], value, message[began : at + size])
        at += size


def node(message: memoryview) -> Node:
    """Read a ``NodeProto``, without its attributes."""
    texts: dict[int, list[str]] = {}
    for field in fields(message):
        if field.number in {1, 2, 4, 7}:
            texts.setdefault(field.number, []).append(str(field.content, "utf-8"))
    operator, domain = texts.get(4, [""]), texts.get(7, [""])
    return Node(operator[0], tuple(texts.get(1, ())), tuple(texts.get(2, ())), domain[0])


def value(message: memoryview) -> Value:
    """Read a ``ValueInfoProto`` of a tensor."""
    name, element_type, shape = "", 0, []
    for field in fields(message):
        if field.number == 1:
            name = str(field.content, "utf-8")
        elif field.number == 2:
            for part in _inside(field.content, 1):
                if part.number == 1:
                    element_type = part.value
                elif part.number == 2:
                    shape = [_size(axis.content) for axis in fields(part.content)]
    return Value(name, element_type, tuple(shape))


def tensor_name(message: memoryview) -> str:
    """Return the name of a ``TensorProto``."""
    return next((str(field.content, "utf-8") for field in fields(message) if field.number == 8), "")


def scalar(message: memoryview) -> NDArray[np.generic] | None:
    """Return a ``TensorProto`` of one float32 or uint8 as an array; None if it is another one."""
    dims, kind, raw, floats, integers = [], 0, b"", b"", []
    for field in fields(message):
        match field.number:
            case 1:
                dims.append(field.value)
            case 2:
                kind = field.value
            case 4:
                floats = bytes(field.content or field.whole[1:])
            case 5:
                integers.append(_varint(field.content, 0)[0] if field.content else field.value)
            case 9:
                raw = bytes(field.content)
    if kind not in {_FLOAT, _UINT8} or dims not in ([], [1]):
        return None
    if not raw:
        raw = floats if kind == _FLOAT else bytes(integers[:1])
    dtype = np.dtype(np.float32 if kind == _FLOAT else np.uint8)
    return np.frombuffer(raw, dtype) if len(raw) == dtype.itemsize else None


def opset(message: memoryview) -> int | None:
    """Return the version of an ``OperatorSetIdProto`` of ONNX's own operators; else None."""
    version = 0
    for field in fields(message):
        if field.number == 1 and bytes(field.content) not in {b"", b"ai.onnx"}:
            return None
        if field.number == 2:
            version = field.value
    return version


def written(number: int, *contents: bytes | memoryview) -> bytes:
    """Return a length-delimited field."""
    return b"".join((head(number, sum(map(len, contents))), *contents))


def head(number: int, size: int) -> bytes:
    """Return the tag and length of a length-delimited field."""
    return _as_varint(number << 3 | _LENGTH) + _as_varint(size)


def node_bytes(operator: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    """Return a graph's field with a node."""
    content = [written(1, name.encode()) for name in inputs]
    content += [written(2, output.encode()), written(4, operator.encode())]
    return written(GraphField.NODE, *content, *(written(5, each) for each in attributes))


def integer(name: str, value: int) -> bytes:
    """Return an attribute of one integer."""
    return written(1, name.encode()) + number(3, value) + number(20, 2)


def integers(name: str, numbers: Iterable[int]) -> bytes:
    """Return an attribute of integers."""
    listed = b"".join(number(8, each) for each in numbers)
    return written(1, name.encode()) + listed + number(20, 7)


def constant(output: str, array: NDArray[np.generic]) -> bytes:
    """Return a graph's field with a constant: initializers of old models must be inputs too."""
    content = b"".join(number(1, size) for size in array.shape)
    (kind,) = [kind for kind, dtype in _NUMPY_TYPES.items() if array.dtype == dtype]
    content += number(2, kind) + written(9, array.tobytes())
    return node_bytes(
        "Constant", (), output, written(1, b"value") + written(5, content) + number(20, 4)
    )


def input_bytes(name: str, element_type: int, shape: Shape) -> bytes:
    """Return a graph's field with an input."""
    axes = [
        written(1, written(2, size.encode()) if isinstance(size, str) else number(1, size))
        for size in shape
    ]
    tensor = number(1, element_type) + written(2, *axes)
    return written(GraphField.INPUT, written(1, name.encode()), written(2, written(1, tensor)))


def _inside(message: memoryview, number: int) -> Iterator[Field]:
    for field in fields(message):
        if field.number == number:
            yield from fields(field.content)


def _size(axis: memoryview) -> int | str:
    for field in fields(axis):
        if field.number == 1:
            return field.value
        if field.number == 2:
            return str(field.content, "utf-8")
    return ""


def number(field: int, value: int) -> bytes:
    """Return a field with a number."""
    return _as_varint(field << 3 | _VARINT) + _as_varint(value)


def _as_varint(number: int) -> bytes:
    taken = bytearray()
    while number >= 0x80:
        taken.append(number & 0x7F | 0x80)
        number >>= 7
    taken.append(number)
    return bytes(taken)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of up to ten bytes, and the position after it."""
    number = 0
    for place, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise Malformed("a number does not end")
