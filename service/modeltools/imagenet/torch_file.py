"""Reads tensors from a file of PyTorch's old format, without PyTorch and without trusting the file.

The format (``torch.save`` before 1.6): pickles of a magic number, a protocol version and facts
about the writer; a pickle of the object, whose tensors refer to storages by key; a pickle of the
list of keys; then for each key an int64 count and that many little-endian numbers.

A pickle may call any function by name. This reader allows three kinds of names and refuses all
others, as https://docs.python.org/3/library/pickle.html#restricting-globals describes.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from schemas.operator_error import OperatorError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAX_FILE_BYTES = 256 * 2**20
MAX_AXES = 8
_DTYPES: dict[str, np.dtype[np.generic]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
}

Array = NDArray[np.generic]


class UnsafeWeights(OperatorError):
    """The weights file is damaged or holds more than tensors; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class _StorageType:
    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[np.generic]
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage, whose numbers follow later in the file. Unit: elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(file: Path) -> dict[str, Array]:
    """Read a state dict: the tensors by name, C-contiguous.

    Raises:
        UnsafeWeights: the file names anything but tensors, is damaged, or is too large.
        OSError: the file cannot be read.
    """
    if file.stat().st_size > MAX_FILE_BYTES:
        _refuse(f"has more than {MAX_FILE_BYTES // 2**20} MiB")
    with file.open("rb") as opened:
        try:
            if _load(opened) != MAGIC or _load(opened) != PROTOCOL:
                _refuse("does not begin as a file of PyTorch's old format")
            _load(opened)  # facts about the machine that wrote it
            tensors = _state_dict(_load(opened))
            storages = _storages(opened, _load(opened), tensors)
        except UnsafeWeights:
            raise
        except Exception as error:  # a damaged pickle may raise anything
            raise UnsafeWeights(f"the file of weights is damaged: {error}") from error
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


class _Unpickler(pickle.Unpickler):
    """Unpickler restricted to ordered dicts, tensors and storages."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module != "torch" or name not in _DTYPES:
            _refuse(f"names {module}.{name}, which is no part of a tensor")
        return _StorageType(name)

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", _StorageType(name), str(key), str(), int(count), *_) if count >= 0:
                found = _Storage(key, _DTYPES[name], count)
            case _:
                _refuse("refers to something that is no storage")
        return found


def _load(file: BinaryIO) -> object:
    return _Unpickler(file).load()


def _tensor(storage: object, offset: object, shape: object, strides: object, *_: object) -> _Tensor:
    """Replace ``torch._utils._rebuild_tensor_v2``; gradients and hooks are ignored."""
    numbers = (offset, *_tuple(shape), *_tuple(strides))
    if not isinstance(storage, _Storage) or not all(
        isinstance(number, int) and number >= 0 for number in numbers
    ):
        _refuse("holds a tensor that is none")
    axes = cast("tuple[int, ...]", shape)
    if len(axes) != len(cast("tuple[int, ...]", strides)) or len(axes) > MAX_AXES:
        _refuse("holds a tensor whose shape and strides differ")
    return _Tensor(storage, cast("int", offset), axes, cast("tuple[int, ...]", strides))


def _tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ("",)


def _state_dict(value: object) -> dict[str, _Tensor]:
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in value.items()
    ):
        _refuse("does not hold named tensors alone")
    return dict(value)


def _storages(
    file: BinaryIO, keys: object, tensors: Mapping[str, _Tensor]
) -> dict[str, NDArray[np.generic]]:
    """Read the numbers of every storage, in the order of the file."""
    known = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(known):
        _refuse("lists other storages than its tensors use")
    found = {}
    for key in keys:
        storage = known[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        if count != storage.count:
            _refuse(f"holds {count} numbers where {storage.count} belong")
        data = file.read(count * storage.dtype.itemsize)
        if len(data) != count * storage.dtype.itemsize:
            _refuse("ends too early")
        found[key] = np.frombuffer(data, storage.dtype)
    if file.read(1):
        _refuse("goes on after its end")
    return found


def _array(tensor: _Tensor, storages: Mapping[str, NDArray[np.generic]]) -> Array:
    """Copy the view; refuse one that exceeds its storage or repeats numbers."""
    storage = storages[tensor.storage.key]
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    size = int(np.prod(tensor.shape, dtype=object)) if tensor.shape else 1
    if 0 in tensor.shape or last >= storage.size or size > storage.size:
        _refuse("holds a tensor that reaches out of its storage")
    item = storage.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        storage[tensor.offset :],
        tensor.shape,
        tuple(stride * item for stride in tensor.strides),
        writeable=False,
    )
    return np.ascontiguousarray(view).reshape(tensor.shape)


def _refuse(reason: str) -> NoReturn:
    raise UnsafeWeights(f"the file of weights {reason}; it is refused")
