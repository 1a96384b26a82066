"""Writes valid and hostile files in PyTorch's old format, as ``torch.save`` did before 1.6.

A fake module ``torch`` provides the names that such pickles contain.
"""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.modeltools.imagenet.torch_file import MAGIC, PROTOCOL

FACTS = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<i8": "LongStorage"}


class FloatStorage:
    """Named ``torch.FloatStorage`` in the pickle."""


class DoubleStorage:
    """Named ``torch.DoubleStorage``."""


class LongStorage:
    """Named ``torch.LongStorage``."""


def _rebuild_tensor_v2(*_: object) -> None:
    """Named ``torch._utils._rebuild_tensor_v2``."""


class Reference:
    """A tensor in the pickle: refers to a storage by key."""

    def __init__(
        self,
        key: str,
        array: NDArray[Any],
        *,
        offset: int = 0,
        shape: tuple[int, ...] | None = None,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        self.key, self.array, self.offset = key, array, offset
        self.shape = array.shape if shape is None else shape
        item = array.dtype.itemsize
        own = tuple(stride // item for stride in array.strides)
        self.strides = own if strides is None else strides

    def __reduce__(self) -> tuple[object, ...]:
        hooks: collections.OrderedDict[str, object] = collections.OrderedDict()
        arguments = (Storage(self), self.offset, self.shape, self.strides, False, hooks)
        return _rebuild_tensor_v2, arguments


class Storage:
    """The storage that a tensor refers to, written as a persistent id."""

    def __init__(self, tensor: Reference) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        if not isinstance(obj, Storage):
            return None
        array = obj.tensor.array
        kind = globals()[STORAGES[array.dtype.str]]
        return "storage", kind, obj.tensor.key, "cpu", array.size, None


def write(file: Path, tensors: object, **changes: object) -> Path:
    """Writes a file; ``changes`` may set ``magic``, ``keys``, ``numbers`` (bytes) or ``after``."""
    found: dict[str, NDArray[Any]] = {}
    if isinstance(tensors, Mapping):
        found = {one.key: one.array for one in tensors.values() if isinstance(one, Reference)}
    with _torch():
        parts = (
            changes.get("magic", MAGIC),
            PROTOCOL,
            FACTS,
            tensors,
            changes.get("keys", list(found)),
        )
        data = b"".join(_pickled(part) for part in parts)
    numbers = b"".join(
        array.size.to_bytes(8, "little") + array.tobytes() for array in found.values()
    )
    given, after = changes.get("numbers", numbers), changes.get("after", b"")
    assert isinstance(given, bytes)
    assert isinstance(after, bytes)
    file.write_bytes(data + given + after)
    return file


def _pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


@contextmanager
def _torch() -> Iterator[None]:
    """Install fake modules ``torch`` and ``torch._utils`` for the pickler."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kinds = (FloatStorage, DoubleStorage, LongStorage)
    for kind in kinds:
        kind.__module__ = "torch"
        setattr(torch, kind.__name__, kind)
    _rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def ones(*shape: int) -> NDArray[np.float32]:
    """A tensor of little-endian float32."""
    return np.ones(shape, "<f4")
