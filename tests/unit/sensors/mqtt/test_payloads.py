"""Samples in payloads: formats, shapes, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sensors import SensorFault
from service.sensors.mqtt.payloads import BadPayload, epoch_of, read_payload

RAW = np.arange(6, dtype="<f4")


def refused(payload: bytes, channels: int = 1, content_type: str | None = None) -> SensorFault:
    with pytest.raises(BadPayload) as error:
        read_payload(payload, channels, content_type)
    return error.value.fault


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_floats_are_rows_without_a_copy(channels: int) -> None:
    found = read_payload(RAW.tobytes(), channels)
    assert found.values.shape == (6 // channels, channels)
    assert found.values.dtype == np.float32
    assert found.values.base is not None
    assert found.values.ravel().tolist() == RAW.tolist()


@pytest.mark.parametrize(
    ("payload", "channels", "rows"),
    [
        (b"[1, 2.5, -3e2]", 1, [[1], [2.5], [-300]]),
        (b"[[1, 2], [3, 4]]", 2, [[1, 2], [3, 4]]),
        (b"[1, 2]", 2, [[1, 2]]),
        (b'{"samples": [[1], [2]]}', 1, [[1], [2]]),
        (b"[1]", 1, [[1]]),
    ],
)
def test_json_is_rows(payload: bytes, channels: int, rows: list[list[float]]) -> None:
    assert read_payload(payload, channels).values.tolist() == rows


def test_json_may_have_time_and_number() -> None:
    found = read_payload(
        b'{"samples": [1, 2], "time": 1700000000.5, "sequence": 40, "epoch": 7}', 1
    )
    assert (found.epoch, found.first, found.at) == (7, 40, 1_700_000_000.5)
    moment = read_payload(b'{"samples": [1], "time": "2023-11-14T22:13:20Z"}', 1)
    assert moment.at == 1_700_000_000


def test_epoch_is_found_before_the_rest() -> None:
    assert epoch_of(b'{"samples": [1], "sequence": 0, "epoch": 7}') == 7
    for payload in (b"[1]", RAW.tobytes(), b'{"epoch": true}', b'{"epoch": -1}', b'{"epoch"'):
        assert epoch_of(payload) is None


def test_lines_are_samples_in_the_order_of_names() -> None:
    lines = (
        b"# of a pump\n"
        b'v,machine=pump\\ 3 y=2i,x=1.5,note="a, b=c \\" d" 1700000000500000000\n'
        b"v,machine=pump\\ 3 x=-3e-1,y=4u 1700000000600000000\r\n"
    )
    found = read_payload(lines, 2)
    np.testing.assert_allclose(found.values, [[1.5, 2], [-0.3, 4]], rtol=1e-6)
    assert found.at == 1_700_000_000.5
    named = read_payload(lines, 2, names=("y", "x"))
    np.testing.assert_allclose(named.values, [[2, 1.5], [4, -0.3]], rtol=1e-6)
    assert read_payload(lines, 1, names=("y",)).values.tolist() == [[2], [4]]


@pytest.mark.parametrize(
    ("payload", "channels", "fault"),
    [
        (b"", 1, SensorFault.BAD_DATA),
        (b"\x00\x00\x80", 1, SensorFault.BAD_DATA),
        (RAW.tobytes(), 4, SensorFault.WRONG_CHANNELS),
        (b'{"samples": [1, 2, }', 1, SensorFault.BAD_DATA),
        (b'{"samples": [], "time": 1}', 1, SensorFault.BAD_DATA),
        (b'{"samples": [null, 1]}  ', 1, SensorFault.BAD_DATA),
        (b'{"samples": [true, false]}', 1, SensorFault.BAD_DATA),
        (b'{"samples": ["1", "2"]}  ', 1, SensorFault.BAD_DATA),
        (b'{"samples": [[1, 2], [3]]}', 2, SensorFault.BAD_DATA),
        (b'{"samples": [[1, 2], [3, 4]]}', 3, SensorFault.WRONG_CHANNELS),
        (b'{"samples": [[[1]]], "time": 1}', 1, SensorFault.WRONG_CHANNELS),
        (b'{"samples": [1], "sequence": 3}', 1, SensorFault.BAD_DATA),
        (b'{"samples": [1], "epoch": 3}   ', 1, SensorFault.BAD_DATA),
        (b'{"samples": [1], "epoch": -1, "sequence": 0}', 1, SensorFault.BAD_DATA),
        (b'{"samples": [1], "time": "yesterday"}', 1, SensorFault.BAD_DATA),
        (b'{"samples": [1], "volume": 11}', 1, SensorFault.BAD_DATA),
        (b'{"volume": 11, "a": 1}', 1, SensorFault.BAD_DATA),
        (b"vibration x=1,y= 1700000000", 2, SensorFault.BAD_DATA),
        (b"vibration x=1,y=2, 170000000", 2, SensorFault.BAD_DATA),
        (b"vibration x=1,y=two", 2, SensorFault.BAD_DATA),
        (b"vibration only words here", 2, SensorFault.BAD_DATA),
        (b"vibration x=1,y=2 17e8", 2, SensorFault.BAD_DATA),
        (b"vibration x=1,y=2 1700000000", 3, SensorFault.WRONG_CHANNELS),
        (b'vibration x=1,y="text" 1700000000', 2, SensorFault.WRONG_CHANNELS),
    ],
)
def test_malformed_payload_is_refused(payload: bytes, channels: int, fault: SensorFault) -> None:
    assert refused(payload, channels) is fault


def test_content_type_decides() -> None:
    assert read_payload(b"[1, ", 1, "application/octet-stream").values.shape == (1, 1)
    assert refused(RAW.tobytes(), 1, "application/json; charset=utf-8") is SensorFault.BAD_DATA
    assert read_payload(b"v x=1", 1, "text/plain").values.tolist() == [[1]]
    assert read_payload(RAW.tobytes(), 1, "image/png").values.shape == (6, 1)


def test_numbers_beyond_float32_become_infinite() -> None:
    assert read_payload(b'{"samples": [1e300, 1]}', 1).values.tolist() == [[np.inf], [1]]


@given(st.binary(max_size=64), st.integers(1, 4))
def test_any_bytes_give_samples_or_are_refused(payload: bytes, channels: int) -> None:
    try:
        values = read_payload(payload, channels).values
    except BadPayload:
        return
    assert values.dtype == np.float32
    assert values.shape[1] == channels
    assert len(values)


@given(st.text(alphabet='{}[]"0123456789.,:-eE samplestimequncho=\\\n', max_size=80))
def test_any_text_gives_samples_or_is_refused(text: str) -> None:
    try:
        assert len(read_payload(text.encode(), 1).values)
    except BadPayload:
        return


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4))
def test_json_and_floats_give_the_same_samples(numbers: list[float]) -> None:
    as_json = read_payload(json.dumps({"samples": numbers}).encode(), 1).values
    as_floats = read_payload(np.array(numbers, "<f4").tobytes(), 1, "application/octet-stream")
    assert as_json.tobytes() == as_floats.values.tobytes()
