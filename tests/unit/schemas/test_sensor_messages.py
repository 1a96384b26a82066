"""Messages of sensors and their samples: round trips, limits, garbage."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ErrorCode
from schemas.sensor_wire.advice import ADVICE, FAREWELLS
from schemas.sensor_wire.frames import Frame, FrameDecoder, FrameType, WireError
from schemas.sensor_wire.messages import (
    DATA_HEAD_BYTES,
    Ack,
    Bye,
    Data,
    Error,
    Hello,
    Message,
    Ping,
    Result,
    Token,
    data_of,
    encode,
    encode_result,
    parse,
)
from schemas.sensor_wire.packing import Packing, Samples, pack, unpack
from schemas.sensors import MAX_EPOCH, MAX_SEQUENCE, SensorFault
from tests.support.suite.examples import examples

MESSAGES: list[Message] = [
    Hello(1_764_000_000_000, 4096, "pump-3", "a.b.c"),
    Hello(0, 0, "p"),
    Hello(MAX_EPOCH, MAX_SEQUENCE, "x" * 63, "t" * 8192),
    Data(7, -5, 1, Packing.PLAIN, b"\0\0\x80?"),
    Ack(MAX_SEQUENCE, 2**32 - 1),
    Result(9, '{"label":"gut, größer"}'.encode()),
    Error("bad_data", "The checksum is wrong.", None, fatal=True),
    Error("not_ready", "Später.", 1.5),
    Bye("drained"),
    Token("a.b.c"),
    Ping(),
]
PACKINGS = [Packing(flags) for flags in range(4)]
ODD = np.array([[np.nan, -0.0], [np.inf, 1e-45], [-np.inf, 3.25]], np.float32)
SINE = np.sin(np.arange(4096, dtype=np.float32) / 50).reshape(-1, 2)


def received(message: Message) -> Message:
    (frame,) = FrameDecoder(dict.fromkeys(FrameType, 2**20)).feed(encode(message))
    return parse(frame)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_comes_back(message: Message) -> None:
    assert received(message) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_truncated_or_longer_payload_is_refused(message: Message) -> None:
    payload = message.payload()
    for length in {*range(min(len(payload), 40)), max(0, len(payload) - 1)} - {len(payload)}:
        try:
            found = parse(Frame(message.kind, payload[:length]))
        except WireError:
            continue
        # Arbitrary bytes may follow these, or none: only the length shows it.
        assert isinstance(found, Token | Data | Bye), message
    if isinstance(message, Hello | Ack | Ping | Error | Bye | Result):
        with pytest.raises(WireError):
            parse(Frame(message.kind, payload + b"\0"))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("values", [ODD, SINE], ids=["odd", "sine"])
def test_samples_keep_their_bits(values: Samples, packing: Packing) -> None:
    data = received(data_of(5, values, time_us=1_700_000_000_250_000, packing=packing))
    assert isinstance(data, Data)
    assert (data.first, data.count, data.at) == (5, len(values), 1_700_000_000.25)
    back = data.values(values.shape[1])
    assert back.tobytes() == values.tobytes()
    assert (back.shape, back.dtype.str, back.flags.writeable) == (values.shape, "<f4", False)


def test_result_is_encoded_in_one_call_too() -> None:
    answer = b'{"label":"worn"}'
    assert encode_result(4096, answer) == encode(Result(4096, answer))


def test_plain_samples_are_not_copied() -> None:
    packed = pack(SINE)
    assert np.shares_memory(unpack(packed, Packing.PLAIN, 2048, 2), np.frombuffer(packed, np.uint8))


def test_shuffle_puts_first_bytes_first() -> None:
    values = np.frombuffer(bytes.fromhex("01020304 11121314"), "<f4").reshape(2, 1)
    assert pack(values, Packing.SHUFFLED).hex(" ") == "01 11 02 12 03 13 04 14"


def test_shuffle_and_zstd_shrink_a_smooth_signal() -> None:
    assert len(pack(SINE, Packing.SHUFFLED | Packing.ZSTD)) < 0.9 * len(pack(SINE))


@pytest.mark.parametrize("packing", PACKINGS)
def test_wrong_number_of_channels_is_named(packing: Packing) -> None:
    packed = pack(SINE, packing)
    with pytest.raises(WireError) as refused:
        unpack(packed, packing, len(SINE), 1)
    if Packing.ZSTD not in packing:
        assert refused.value.fault is SensorFault.WRONG_CHANNELS


@pytest.mark.parametrize("packing", PACKINGS)
def test_wrong_number_of_samples_is_refused(packing: Packing) -> None:
    packed = pack(SINE, packing)
    for count in (len(SINE) - 1, len(SINE) + 1):
        with pytest.raises(WireError):
            unpack(packed, packing, count, 2)


def test_bomb_is_not_unpacked() -> None:
    bomb = zstd.compress(bytes(2**25))
    assert len(bomb) < 2**16
    with pytest.raises(WireError):
        unpack(bomb, Packing.ZSTD, 1000, 1)
    with pytest.raises(WireError) as refused:
        unpack(bomb, Packing.ZSTD, 2**26, 1)
    assert refused.value.fault is SensorFault.TOO_LARGE


def test_large_zstd_window_is_refused() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27}
    compressor = zstd.ZstdCompressor(options=options)
    packed = compressor.compress(bytes(4000)) + compressor.flush()
    with pytest.raises(WireError):
        unpack(packed, Packing.ZSTD, 1000, 1)


@pytest.mark.parametrize("packed", [b"", b"garbage", zstd.compress(bytes(4000))[:-1]])
def test_damaged_zstd_is_refused(packed: bytes) -> None:
    with pytest.raises(WireError):
        unpack(packed, Packing.ZSTD, 1000, 1)


def test_bytes_after_zstd_are_refused() -> None:
    with pytest.raises(WireError, match="bytes follow"):
        unpack(zstd.compress(bytes(4000)) * 2, Packing.ZSTD, 1000, 1)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (FrameType.HELLO, MESSAGES[1].payload().replace(b"p", b"P")),
        (FrameType.HELLO, (2**63).to_bytes(8, "little") + MESSAGES[1].payload()[8:]),
        (FrameType.HELLO, MESSAGES[1].payload()[:-2] + b"\x01\x00\xff"),
        (FrameType.DATA, bytes(DATA_HEAD_BYTES)),
        (FrameType.DATA, bytes(16) + b"\x01\0\0\0\x04\0\0\0"),
        (FrameType.DATA, bytes(16) + b"\x01\0\0\0\x00\0\0\x01"),
        (FrameType.DATA, b"\xff" * 7 + b"\x7f" + bytes(8) + b"\x02\0\0\0\0\0\0\0"),
        (FrameType.TOKEN, b""),
        (FrameType.TOKEN, b"\xff"),
        (FrameType.BYE, b"[]"),
        (FrameType.BYE, b'{"reason": 1}'),
        (FrameType.ERROR, b'{"code": "x", "detail": "y", "fatal": 1}'),
        (FrameType.ERROR, b'{"code": "x", "detail": "y", "retry_after": "soon"}'),
        (FrameType.ERROR, b"[" * 4096),
        (FrameType.RESULT, bytes(8) + b"\xff"),
    ],
)
def test_bad_content_is_refused(kind: FrameType, payload: bytes) -> None:
    with pytest.raises(WireError):
        parse(Frame(kind, payload))


@examples(400)
@given(st.sampled_from(FrameType), st.binary(max_size=120), st.integers(1, 4))
def test_garbage_raises_nothing_but_the_typed_error(
    kind: FrameType, payload: bytes, channels: int
) -> None:
    with suppress(WireError):
        message = parse(Frame(kind, payload))
        if isinstance(message, Data):
            message.values(channels)


def test_advice_covers_every_code() -> None:
    assert set(ADVICE) == {*map(str, ErrorCode), *map(str, SensorFault)}
    assert set(FAREWELLS) == {"drained", "changed", "idle", "expired", "replaced", "removed"}


def test_tokens_are_not_shown() -> None:
    assert "secret" not in repr([Hello(0, 0, "p", "secret"), Token("secret")])
