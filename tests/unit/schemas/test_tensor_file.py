"""Tensors as bytes: read as written, refused if their sizes lie, quantised with error feedback."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.quantised import Quantiser
from schemas.tensor_file import SCALE, BadTensors, decode, encode, whole


def file(header: object, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_tensors_are_read_as_they_were_written() -> None:
    dice = np.random.default_rng(0)
    written: dict[str, np.ndarray] = {
        "weight": dice.normal(size=(3, 4)).astype(np.float32),
        "bias": dice.normal(size=3).astype(np.float32),
        "one": np.array(5, np.float32),
        "none": np.empty((0, 2), np.float32),
        "steps": np.arange(-3, 3, dtype=np.int8),
    }
    read = decode(encode(written))
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


def test_metadata_of_other_writers_is_ignored() -> None:
    text = {"__metadata__": {"format": "pt"}, "w": entry()}
    assert decode(file(text, bytes(8)))["w"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 3) + b"{}",
        file(b"[]"),
        file(b"nonsense"),
        file(b"[" * 100_000),
        file(b'{"w": 1}'),
        file(b'{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"w":{}}'),
        file({"w": entry("F64")}, bytes(8)),
        file({"w": entry()}, bytes(7)),
        file({"w": entry()}, bytes(9)),
        file({"w": entry(shape=[-1, -2])}, bytes(8)),
        file({"w": entry(shape=[True, 2])}, bytes(8)),
        file({"w": entry(shape=[2**62, 2**62])}, bytes(8)),
        file({"w": entry(shape="22")}, bytes(8)),
        file({"w": entry(offsets=[1, 9])}, bytes(9)),
        file({"w": entry(offsets=[8, 0])}, bytes(8)),
        file({"w": entry(offsets=[0, 1e9])}, bytes(8)),
        file({"w": entry(), "v": entry()}, bytes(8)),
        file({"w": entry(), "v": entry(offsets=[4, 12])}, bytes(12)),
        file({"": entry()}, bytes(8)),
        file({"w": entry()}, np.array([1, np.nan], "<f4").tobytes()),
    ],
)
def test_false_sizes_and_numbers_are_refused(data: bytes) -> None:
    with pytest.raises(BadTensors):
        decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        decode(data)
    except BadTensors:
        return


def test_quantised_tensors_need_their_scales() -> None:
    steps = np.ones((2, 3), np.int8)
    for scale in (None, np.ones(3, np.float32), np.ones((2, 3), np.float32)):
        stored = {"w": steps} if scale is None else {"w": steps, "w" + SCALE: scale}
        with pytest.raises(BadTensors):
            whole(stored)
    rows = np.array([1, 2], np.float32)
    assert whole({"w": steps, "w" + SCALE: rows})["w"].tolist() == [[1] * 3, [2] * 3]


def test_quantised_updates_are_a_quarter_and_lose_nothing_in_sum() -> None:
    dice = np.random.default_rng(0)
    quantiser = Quantiser()
    meant = {"w": np.zeros((10, 1280), np.float32), "b": np.zeros(10, np.float32)}
    sent = {name: array.copy() for name, array in meant.items()}
    for _ in range(20):
        update = {
            "w": dice.normal(size=(10, 1280)).astype(np.float32),
            "b": dice.normal(size=10).astype(np.float32),
        }
        stored = quantiser(update)
        assert len(encode(update)) > 3.5 * len(encode(stored))
        for name, array in whole(decode(encode(stored))).items():
            sent[name] += array
            meant[name] += update[name]
    largest_step = 2 * 4.5 / 127
    assert np.abs(sent["w"] - meant["w"]).max() < largest_step
    assert np.allclose(sent["b"], meant["b"], atol=1e-5)


def test_an_update_that_was_refused_is_sent_with_the_next() -> None:
    quantiser, update = Quantiser(), {"w": np.linspace(-1, 1, 100, dtype=np.float32)}
    quantiser.take_back(whole(quantiser(update)))
    again = whole(quantiser({"w": np.zeros(100, np.float32)}))
    assert np.allclose(again["w"], update["w"], atol=1 / 127)
