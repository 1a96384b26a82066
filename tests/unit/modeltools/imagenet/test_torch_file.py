"""Weights are read from PyTorch's old format; hostile files are refused without side effects."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.modeltools.imagenet.torch_file import MAGIC, PROTOCOL, UnsafeWeights, read_tensors
from tests.support.modeltools.torch_files import Reference, ones, write


def test_tensors_are_read_back_unchanged(tmp_path: Path) -> None:
    numbers = np.arange(24, dtype="<f4").reshape(2, 3, 4)
    tensors = OrderedDict(
        weight=Reference("1", numbers),
        turned=Reference("2", np.arange(6, dtype="<f8"), shape=(3, 2), strides=(1, 3)),
        count=Reference("3", np.array(7, "<i8")),
        part=Reference("4", np.arange(10, dtype="<f4"), offset=4, shape=(3,), strides=(2,)),
    )
    found = read_tensors(write(tmp_path / "w.pth", tensors))
    np.testing.assert_array_equal(found["weight"], numbers)
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    assert found["count"].shape == ()
    assert int(found["count"]) == 7
    np.testing.assert_array_equal(found["part"], [4, 6, 8])
    assert all(array.flags.c_contiguous for array in found.values())


class Calls:
    """A pickle that calls a function with arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self._call


@pytest.mark.parametrize(
    "function",
    [os.system, eval, exec, open, subprocess.check_output, getattr, print, np.frombuffer],
    ids=lambda function: function.__name__,
)
def test_pickled_function_is_refused_without_being_called(tmp_path: Path, function: object) -> None:
    mark = tmp_path / "called"
    command = f"touch {mark}"
    file = write(tmp_path / "w.pth", {"weight": Calls(function, command)}, keys=[])
    with pytest.raises(UnsafeWeights, match="which is no part of a tensor"):
        read_tensors(file)
    assert not mark.exists()


@pytest.mark.parametrize("part", ["magic", "keys"])
def test_every_pickle_in_the_file_is_restricted(tmp_path: Path, part: str) -> None:
    mark = tmp_path / "called"
    hostile = Calls(os.system, f"touch {mark}")
    file = write(tmp_path / "w.pth", {"a": Reference("1", ones(2))}, **{part: hostile})
    with pytest.raises(UnsafeWeights, match=r"names posix\.system"):
        read_tensors(file)
    assert not mark.exists()


@pytest.mark.parametrize(
    "reference",
    [
        Reference("1", ones(4), shape=(5,), strides=(1,)),
        Reference("1", ones(4), offset=3, shape=(2,), strides=(1,)),
        Reference("1", ones(4), shape=(2, 2), strides=(1,)),
        Reference("1", ones(4), shape=(-1,), strides=(1,)),
        Reference("1", ones(4), shape=(2,), strides=(-1,)),
        Reference("1", ones(4), shape=(10**9,), strides=(0,)),
        Reference("1", ones(4), shape=(1,) * 9, strides=(1,) * 9),
        Reference("1", ones(4), shape=(0,), strides=(1,)),
    ],
    ids=["long", "offset", "axes", "negative", "backwards", "repeated", "many axes", "empty"],
)
def test_tensor_view_outside_its_storage_is_refused(tmp_path: Path, reference: Reference) -> None:
    with pytest.raises(UnsafeWeights, match="holds a tensor"):
        read_tensors(write(tmp_path / "w.pth", {"a": reference}))


def good() -> OrderedDict[str, Reference]:
    return OrderedDict(a=Reference("1", ones(3)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"magic": 1}, "does not begin as"),
        ({"keys": []}, "lists other storages"),
        ({"keys": ["1", "2"]}, "lists other storages"),
        ({"keys": "1"}, "lists other storages"),
        ({"numbers": b""}, "holds 0 numbers where 3 belong"),
        ({"numbers": (3).to_bytes(8, "little") + b"\0" * 5}, "ends too early"),
        ({"numbers": (2**62).to_bytes(8, "little")}, "holds 4611686018427387904 numbers"),
        ({"after": b"x"}, "goes on after its end"),
    ],
)
def test_damaged_file_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(UnsafeWeights, match=reason):
        read_tensors(write(tmp_path / "w.pth", good(), **changes))


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1: Reference("1", ones(2))}, None])
def test_content_other_than_named_tensors_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(UnsafeWeights, match="does not hold named tensors"):
        read_tensors(write(tmp_path / "w.pth", value))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "random.pth"
    file.write_bytes(pickle.dumps(MAGIC, 2) + pickle.dumps(PROTOCOL, 2) + data)
    with pytest.raises(UnsafeWeights):
        read_tensors(file)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    file = write(tmp_path / "w.pth", good())
    data = file.read_bytes()
    file.write_bytes(data[: min(cut, len(data) - 1)])
    with pytest.raises(UnsafeWeights):
        read_tensors(file)
