"""Tensors by name as bytes, in the form of safetensors files.

::

    8 bytes   length of the header, little-endian
    header    JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    numbers   row-major and little-endian, one tensor after another, without gaps

So the package safetensors reads and writes them too. Here only F32 and I8 are taken:
a tensor of I8 has its scales in another one, ``<name>::scale``, F32: a number, or one for each
row. The tensor is their product.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_HEADER_BYTES = 2**20
MAX_TENSORS = 10_000
MAX_RANK = 8
MAX_NAME_CHARS = 255
SCALE = "::scale"
_LENGTH = struct.Struct("<Q")
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I8": np.dtype("<i1")}
_NAMES = {np.dtype("<f4"): "F32", np.dtype("<i1"): "I8"}
_METADATA = "__metadata__"
Tensors = Mapping[str, NDArray[np.float32]]
Stored = Mapping[str, NDArray[Any]]
"""Arrays of float32 and int8, as they are in a file."""


class BadTensors(ValueError):
    """The bytes are no tensors. The message is for callers, a whole sentence."""


def encode(tensors: Stored) -> bytes:
    """Return tensors as bytes.

    Raises:
        ValueError: an array is neither float32 nor int8.
    """
    header: dict[str, object] = {}
    parts: list[bytes] = []
    place = 0
    for name, array in tensors.items():
        kind = _NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None:
            message = f"'{name}' is {array.dtype}, neither float32 nor int8"
            raise ValueError(message)
        data = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
        end = place + len(data)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [place, end]}
        parts.append(data)
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def decode(data: bytes | memoryview) -> dict[str, NDArray[Any]]:
    """Read tensors; sizes that they claim are compared with what is there first.

    Returns:
        Arrays that share the memory of ``data``.

    Raises:
        BadTensors: they are not in the form, of another dtype, or not finite.
    """
    if len(data) < _LENGTH.size:
        raise BadTensors("The body is too short for tensors.")
    (length,) = _LENGTH.unpack_from(data)
    if length > min(MAX_HEADER_BYTES, len(data) - _LENGTH.size):
        raise BadTensors("The header is longer than the body, or than headers may be.")
    header = _header(bytes(data[_LENGTH.size : _LENGTH.size + length]))
    numbers = memoryview(data)[_LENGTH.size + length :]
    found: dict[str, NDArray[Any]] = {}
    place = 0
    for name, entry in sorted(header.items(), key=_place_of):
        dtype, shape, start, end = _entry(name, entry)
        if start != place or end - start != dtype.itemsize * math.prod(shape) or end > len(numbers):
            message = f"The bytes of {_shown(name)} are not where its shape says."
            raise BadTensors(message)
        array = np.frombuffer(numbers, dtype, math.prod(shape), offset=start).reshape(shape)
        if dtype.kind == "f" and not np.isfinite(array).all():
            message = f"{_shown(name)} has numbers that are not finite."
            raise BadTensors(message)
        found[name], place = array, end
    if place != len(numbers):
        raise BadTensors("There are bytes behind the last tensor.")
    return found


def whole(stored: Stored) -> dict[str, NDArray[np.float32]]:
    """Return tensors as float32: those of int8 multiplied by their scales.

    Raises:
        BadTensors: scales are missing, of another shape, or without a tensor.
    """
    found: dict[str, NDArray[np.float32]] = {}
    used = set()
    for name, array in stored.items():
        if array.dtype != np.int8:
            continue
        scale = stored.get(name + SCALE)
        rows = array.shape[:1] if array.ndim > 1 else ()
        if scale is None or scale.dtype == np.int8 or scale.shape not in {(), rows}:
            message = f"{_shown(name)} has no scales, or as many as it has no rows."
            raise BadTensors(message)
        used.add(name + SCALE)
        by_row = scale.reshape(-1, *([1] * (array.ndim - 1))) if scale.ndim else scale
        found[name] = (array * by_row).astype(np.float32)
    for name, array in stored.items():
        if array.dtype != np.int8 and name not in used:
            found[name] = np.asarray(array, np.float32)
    return found


def _header(text: bytes) -> dict[str, object]:
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadTensors("The header is no JSON object with a member for each tensor.") from error
    if not isinstance(header, dict):
        raise BadTensors("The header is no JSON object.")
    header.pop(_METADATA, None)
    if len(header) > MAX_TENSORS:
        message = f"There are more than {MAX_TENSORS} tensors."
        raise BadTensors(message)
    return header


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadTensors("A name is given twice in the header.")
    return found


def _place_of(item: tuple[str, object]) -> tuple[int, int]:
    """Return where a tensor begins and ends, for sorting; errors are found later."""
    entry = item[1]
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_count, offsets)):
        return offsets[0], offsets[1]
    return 0, 0


def _entry(name: str, entry: object) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    if not 1 <= len(name) <= MAX_NAME_CHARS or not isinstance(entry, dict):
        message = f"The header's entry of {_shown(name)} is not valid."
        raise BadTensors(message)
    dtype: np.dtype[Any] | None = _DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        message = f"{_shown(name)} must be of F32 or I8."
        raise BadTensors(message)
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_count, shape)):
        message = f"The shape of {_shown(name)} is not valid."
        raise BadTensors(message)
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        message = f"The offsets of {_shown(name)} are not valid."
        raise BadTensors(message)
    return dtype, tuple(shape), offsets[0], offsets[1]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _shown(name: str) -> str:
    return repr(name[:60])
