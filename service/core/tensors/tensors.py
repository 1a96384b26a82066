"""Tensors of the Open Inference Protocol: datatypes, shapes, raw bytes and typed values.

Sizes that a caller claims are compared, in unbounded integers, with the data received; nothing is
allocated from them.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidTensor
from schemas.http.inference import Datatype

MAX_RANK = 8
MAX_SHOWN_CHARS = 64
LENGTH = struct.Struct("<I")
"""Prefix of every element of a BYTES tensor: the number of bytes in it."""


DTYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype("<u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.INT8: np.dtype("<i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
    # NumPy has no bfloat16, and no model here uses it: the array holds the bits.
    Datatype.BF16: np.dtype("<u2"),
    Datatype.BYTES: np.dtype(object),
}
"""Little-endian on every machine, as on the wire; BYTES elements are Python ``bytes``."""

RAW_ONLY = frozenset({Datatype.FP16, Datatype.BF16})
"""Datatypes that have no JSON values or typed contents."""

_VALUES: dict[Datatype, set[type]] = {
    **{datatype: {int} for datatype in Datatype},
    Datatype.BOOL: {bool, int},
    Datatype.FP32: {float, int},
    Datatype.FP64: {float, int},
    Datatype.BYTES: {str, bytes},
}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named array, C-contiguous and aligned; often a read-only view of the request body."""

    name: str
    datatype: Datatype
    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.array.shape


def datatype_named(name: object) -> Datatype:
    """Return the datatype of that name.

    Raises:
        InvalidTensor: there is no such datatype.
    """
    try:
        return Datatype(name)  # type: ignore[arg-type]
    except ValueError:
        message = f"There is no datatype {shown(name)}; there are {', '.join(Datatype)}."
        raise InvalidTensor(message) from None


def check_shape(name: str, shape: Sequence[object]) -> tuple[int, ...]:
    """Check a shape and return it: up to eight non-negative 63-bit integers.

    Raises:
        InvalidTensor: the shape is not of that form.
    """
    if len(shape) > MAX_RANK:
        raise InvalidTensor(f"The tensor {shown(name)} has more than {MAX_RANK} axes.")
    axes = []
    for axis in shape:
        if type(axis) is not int or not 0 <= axis < 2**63:
            message = f"The shape of the tensor {shown(name)} must hold whole numbers from 0 on."
            raise InvalidTensor(message)
        axes.append(axis)
    return tuple(axes)


def from_raw(
    name: str, datatype: Datatype, shape: Sequence[object], data: bytes | memoryview
) -> Tensor:
    """Build a tensor from raw bytes: little-endian, row-major, without padding.

    The array shares memory with ``data`` if that is aligned.

    Raises:
        InvalidTensor: the bytes do not fit the shape and datatype.
    """
    axes = check_shape(name, shape)
    count = _product(axes)
    if datatype is Datatype.BYTES:
        array = _filled(_elements(name, count, data), axes)
    else:
        dtype = DTYPES[datatype]
        if count * dtype.itemsize != len(data):
            message = (
                f"The tensor {shown(name)} has {len(data)} bytes of data, but {datatype} of shape "
                f"{list(axes)} takes {count * dtype.itemsize}."
            )
            raise InvalidTensor(message)
        if datatype is Datatype.BOOL and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise InvalidTensor(f"The tensor {shown(name)} has bytes that are neither 0 nor 1.")
        array = np.require(np.frombuffer(data, dtype).reshape(axes), requirements=["C", "A"])
    return Tensor(name, datatype, array)


def from_values(
    name: str, datatype: Datatype, shape: Sequence[object], values: list[Any]
) -> Tensor:
    """Build a tensor from a list of values, flat or nested as in the shape.

    Raises:
        InvalidTensor: the values do not fit the shape and datatype.
    """
    if datatype in RAW_ONLY:
        raise InvalidTensor(f"{datatype} has no form in JSON: send {shown(name)} as binary data.")
    axes = check_shape(name, shape)
    flat, count = _flat(name, values, axes), _product(axes)
    if len(flat) != count:
        message = (
            f"The tensor {shown(name)} has {len(flat)} values, but its shape {list(axes)} takes "
            f"{count}."
        )
        raise InvalidTensor(message)
    # Checked here: NumPy would convert strings to numbers, and numbers to strings.
    if not set(map(type, flat)) <= _VALUES[datatype]:
        raise InvalidTensor(f"The tensor {shown(name)} has values that are not {datatype}.")
    try:
        if datatype is Datatype.BYTES:
            encoded = [value.encode() if isinstance(value, str) else value for value in flat]
            return Tensor(name, datatype, _filled(encoded, axes))
        if datatype is Datatype.BOOL and not set(flat) <= {0, 1}:
            raise OverflowError
        with np.errstate(over="ignore"):  # overflows to infinity, as a float32 of the caller would
            array = np.array(flat, DTYPES[datatype])
    except (OverflowError, UnicodeEncodeError):
        message = f"The tensor {shown(name)} has values that {datatype} cannot hold."
        raise InvalidTensor(message) from None
    return Tensor(name, datatype, array.reshape(axes))


def of_bytes(name: str, elements: Sequence[bytes], shape: tuple[int, ...]) -> Tensor:
    """Build a BYTES tensor from the server's own elements."""
    return Tensor(name, Datatype.BYTES, _filled(elements, shape))


def to_raw(tensor: Tensor) -> bytes:
    """Encode a tensor as raw bytes; the inverse of ``from_raw``."""
    if tensor.datatype is not Datatype.BYTES:
        return np.ascontiguousarray(tensor.array, DTYPES[tensor.datatype]).tobytes()
    parts = ((LENGTH.pack(len(element)), element) for element in tensor.array.flat)
    return b"".join(itertools.chain.from_iterable(parts))


def shown(text: object) -> str:
    """Return a caller's text for an error message: quoted, printable ASCII, truncated."""
    return ascii(str(text)[:MAX_SHOWN_CHARS])


def _product(axes: Sequence[int]) -> int:
    """Multiply all axes, in integers that do not overflow."""
    count = 1
    for axis in axes:
        count *= axis
    return count


def _flat(name: str, values: list[Any], axes: tuple[int, ...]) -> list[Any]:
    """Flatten a list that is flat, or nested exactly as ``axes``."""
    if not values or type(values[0]) is not list:
        return values
    level = [values]
    for axis in axes:
        if set(map(type, level)) != {list} or set(map(len, level)) != {axis}:
            message = (
                f"The lists in the data of {shown(name)} are not all as long and as deep as its "
                "shape has it."
            )
            raise InvalidTensor(message)
        level = list(itertools.chain.from_iterable(level))
        if not level:
            break
    return level


def _elements(name: str, count: int, data: bytes | memoryview) -> list[bytes]:
    """Parse ``count`` elements of a BYTES tensor, each a length and that many bytes."""
    elements: list[bytes] = []
    position = 0
    if count * LENGTH.size <= len(data):  # otherwise ``count`` cannot be right
        while position + LENGTH.size <= len(data) and len(elements) < count:
            (size,) = LENGTH.unpack_from(data, position)
            position += LENGTH.size + size
            if position > len(data):
                break
            elements.append(bytes(data[position - size : position]))
    if len(elements) != count or position != len(data):
        message = (
            f"The {len(data)} bytes of the tensor {shown(name)} are not {count} elements, each "
            "with its length in 4 bytes before it."
        )
        raise InvalidTensor(message)
    return elements


def _filled(elements: Sequence[bytes], axes: tuple[int, ...]) -> NDArray[Any]:
    """Build an array of Python objects; ``np.array`` would look inside the elements."""
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(axes)
