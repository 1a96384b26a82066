"""Frames of sensors: split anywhere, damaged, too long, of the wrong type."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sensor_wire.frames import (
    FIRST_FRAME,
    FROM_SERVER,
    HEADER,
    Frame,
    FrameDecoder,
    FrameType,
    WireError,
    encode_frame,
    from_device,
)
from tests.support.suite.examples import examples

ANY = dict.fromkeys(FrameType, 4096)
FRAMES = [
    Frame(FrameType.DATA, b"\x00\x01\x02" * 9),
    Frame(FrameType.PING, b""),
    Frame(FrameType.TOKEN, b"token"),
]
STREAM = b"".join(encode_frame(*frame) for frame in FRAMES)


def decoded(pieces: Iterable[bytes], decoder: FrameDecoder | None = None) -> list[Frame]:
    decoder = decoder or FrameDecoder(ANY)
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def test_frames_may_be_split_anywhere() -> None:
    for at in range(len(STREAM) + 1):
        assert decoded([STREAM[:at], STREAM[at:]]) == FRAMES, at


def test_frames_may_come_byte_by_byte() -> None:
    assert decoded(bytes([byte]) for byte in STREAM) == FRAMES


@given(st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=300))), st.data())
def test_frames_survive_any_pieces(
    frames: list[tuple[FrameType, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    decoder = FrameDecoder(ANY)
    assert decoded(pieces, decoder) == frames
    assert decoder.held_bytes == 0


def test_truncated_frame_is_held() -> None:
    for length in range(len(encode_frame(*FRAMES[0]))):
        decoder = FrameDecoder(ANY)
        assert decoded([STREAM[:length]], decoder) == []
        assert decoder.held_bytes == length


def test_every_flipped_bit_is_found() -> None:
    frame = encode_frame(*FRAMES[0])
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        # A length that has grown takes the bytes that follow.
        with pytest.raises(WireError):
            decoded([bytes(damaged), bytes(4096)])


@examples(300)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_raises_nothing_but_the_typed_error(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(ANY)
    try:
        decoded(pieces, decoder)
    except WireError:
        assert decoder.held_bytes == 0
        with pytest.raises(WireError):
            decoded([STREAM], decoder)


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ((0x5451, 1, 2, 0), "begins with"),
        ((0x5450, 2, 2, 0), "Version 2"),
        ((0x5450, 1, 3, 0), "type 3"),
        ((0x5450, 1, 0, 0), "type 0"),
        ((0x5450, 1, 255, 0), "type 255"),
        ((0x5450, 1, 2, 4097), "at most 4096"),
        ((0x5450, 1, 2, 2**32 - 1), "at most 4096"),
    ],
)
def test_bad_header_is_refused_before_its_payload_is_held(
    header: tuple[int, int, int, int], detail: str
) -> None:
    decoder = FrameDecoder(from_device(4096))
    with pytest.raises(WireError, match=detail):
        decoded([HEADER.pack(*header, 0)], decoder)
    assert decoder.held_bytes == 0


def test_frames_before_a_damaged_one_are_returned() -> None:
    frames = FrameDecoder(ANY).feed(STREAM + b"GET / HTTP/1.1")
    assert [next(frames) for _ in FRAMES] == FRAMES
    with pytest.raises(WireError, match="50 54"):
        next(frames)


def test_limits_may_change_between_two_frames_of_a_piece() -> None:
    decoder = FrameDecoder({FrameType.DATA: 100})
    frames = decoder.feed(STREAM)
    assert next(frames).type is FrameType.DATA
    decoder.limits = {}
    with pytest.raises(WireError, match="type 8"):
        next(frames)


def test_each_side_accepts_what_the_other_sends() -> None:
    assert set(FIRST_FRAME) | set(from_device()) | set(FROM_SERVER) == set(FrameType)
    assert set(from_device()) & set(FROM_SERVER) == {FrameType.BYE}
