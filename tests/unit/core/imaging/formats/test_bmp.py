"""BMP: run-length codes of every kind, unused alpha channels, and other layouts."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from service.core.engine.pool import SlowWork
from service.core.imaging.decoding import open_image
from service.core.imaging.formats import bmp as bmp_format
from service.core.imaging.formats.bmp import RunDecoder
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.tiny_model import image_limits, input_spec

END = b"\0\1"
Pixels = NDArray[np.uint8]


def prepare(data: bytes, side: int = 32) -> PreparedImage:
    spec = input_spec(width=side, height=side, resize={"policy": "shorter_side", "pixels": side})
    return Preprocessor(spec, image_limits())(data)


def bmp(
    width: int,
    height: int,
    bits: int,
    pixels: bytes,
    *,
    compression: int = 0,
    palette: bytes = b"",
    masks: bytes = b"",
) -> bytes:
    """A BMP with a V4 header if there are masks, else with a header of 40 bytes."""
    size = 108 if masks else 40
    head = struct.pack(
        "<IiiHHIIiiII", size, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0
    )
    head = (head + masks).ljust(size, b"\0") + palette
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels


def runs(codes: bytes, side: int = 8, *, is_rle4: bool = False) -> Pixels:
    decoder = RunDecoder(side, side, is_rle4=is_rle4)
    decoder.decode(codes)
    return decoder.pixels.reshape(side, side)


def one_by_one(codes: bytes, width: int, height: int, *, is_rle4: bool) -> Pixels:
    """A simple decoder: one code after the other."""
    pixels = np.zeros((height, width), np.uint8)
    x = y = at = 0
    while at + 1 < len(codes) and y < height:
        count, value = codes[at : at + 2]
        at += 2
        if count:
            values = [value >> 4, value & 15] if is_rle4 else [value]
            drawn = [values[place % len(values)] for place in range(count)]
        elif value == 1:
            break
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 2:
            if at + 1 >= len(codes):
                break
            x, y, at = x + codes[at], y + codes[at + 1], at + 2
            continue
        else:
            size = (value + 1) // 2 if is_rle4 else value
            literal = codes[at : at + size].ljust(size, b"\0")
            drawn = [n for b in literal for n in ((b >> 4, b & 15) if is_rle4 else (b,))][:value]
            at += size + size % 2
        for place, one in enumerate(drawn):
            if x + place < width:
                pixels[y, x + place] = one
        x += len(drawn)
    return pixels


def test_runs_literals_moves_and_ends() -> None:
    codes = b"\3\7" + b"\0\3abc\0" + b"\0\0" + b"\0\2\2\1" + b"\2\x09" + END + b"\7\7"
    found = runs(codes)
    assert found[0].tolist() == [7, 7, 7, *b"abc", 0, 0]
    assert found[1].tolist() == [0] * 8
    assert found[2].tolist() == [0, 0, 9, 9, 0, 0, 0, 0]
    assert not found[3:].any()


def test_nibbles_alternate() -> None:
    found = runs(b"\1\x90" + b"\5\x12" + b"\0\0" + b"\0\5\x34\x56\x70\0", is_rle4=True)
    assert found[0].tolist() == [9, 1, 2, 1, 2, 1, 0, 0]
    assert found[1].tolist() == [3, 4, 5, 6, 7, 0, 0, 0]


CODES = st.lists(
    st.one_of(
        st.binary(min_size=2, max_size=2),
        st.sampled_from([b"\0\0", b"\0\2\1\0", b"\0\2\0\1", b"\0\3abc\0", b"\0\4abcd", b"\5\x12"]),
        st.builds(lambda count: bytes((count, 0x5A)), st.integers(1, 20)),
    ),
    max_size=40,
).map(b"".join)


@settings(deadline=None, max_examples=500, derandomize=True, database=None)
@given(codes=CODES, width=st.integers(1, 20), height=st.integers(1, 6), is_rle4=st.booleans())
def test_they_are_those_of_the_textbook(
    codes: bytes, width: int, height: int, *, is_rle4: bool
) -> None:
    decoder = RunDecoder(width, height, is_rle4=is_rle4)
    decoder.decode(codes)
    expected = one_by_one(codes, width, height, is_rle4=is_rle4)
    assert np.array_equal(decoder.pixels.reshape(height, width), expected)


@pytest.mark.parametrize("is_rle4", [False, True])
def test_codes_are_read_across_the_blocks_of_work(
    monkeypatch: pytest.MonkeyPatch, *, is_rle4: bool
) -> None:
    monkeypatch.setattr(bmp_format, "BLOCK_CODES", 3)
    codes = (b"\3\x71" + b"\0\7abcdefg\0" + b"\0\0" + b"\0\2\1\1") * 9
    expected = one_by_one(codes, 12, 30, is_rle4=is_rle4)
    decoder = RunDecoder(12, 30, is_rle4=is_rle4)
    decoder.decode(codes)
    assert np.array_equal(decoder.pixels.reshape(30, 12), expected)


PALETTE = b"".join(bytes((blue, 255 - blue, 7, 0)) for blue in range(256))


@pytest.mark.parametrize("side", [32, 640])
def test_a_run_length_coded_picture_of_any_size_is_read(side: int) -> None:
    row = b"".join(bytes((1, column % 256)) for column in range(side)) + b"\0\0"
    data = bmp(side, side, 8, row * side + END, compression=1, palette=PALETTE)
    found = prepare(data, side).tensor
    columns = np.arange(side) % 256
    assert np.array_equal(found[0], np.stack([columns * 0 + 7, 255 - columns, columns], 1))


def test_rows_are_upside_down_in_the_file() -> None:
    codes = b"\x20\1\0\0" * 16 + b"\x20\2\0\0" * 16 + END
    found = prepare(bmp(32, 32, 8, codes, compression=1, palette=PALETTE)).tensor
    assert (found[0, 0, 2], found[-1, 0, 2]) == (2, 1)


def test_runs_of_nibbles_are_read_with_their_palette() -> None:
    codes = b"\x20\x12\0\0" * 32 + END
    data = bmp(32, 32, 4, codes, compression=2, palette=PALETTE[: 16 * 4])
    assert prepare(data).tensor[0, :2, 2].tolist() == [1, 2]


def test_many_runs_take_the_slow_lane() -> None:
    data = bmp(640, 640, 8, b"\1\1" * 2**20, compression=1, palette=PALETTE)
    with pytest.raises(SlowWork), open_image(data, image_limits(), may_be_slow=False):
        pass
    assert prepare(data).width == 640
    with pytest.raises(ImageTooLarge):
        prepare(bmp(60_000, 60_000, 8, END, compression=1, palette=PALETTE))


MASKS = {
    "BGRA": struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    "RGBA": struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    "ABGR": struct.pack("<4I", 0xFF000000, 0xFF0000, 0xFF00, 0xFF),
}


def with_alpha(masks: str, alphas: list[int]) -> bytes:
    parts = {"R": 200, "G": 40, "B": 10}
    pixels = b"".join(
        bytes(alpha if part == "A" else parts[part] for part in masks)
        for _ in range(32)
        for alpha in (alphas * 32)[:32]
    )
    return bmp(32, 32, 32, pixels, compression=3, masks=MASKS[masks])


@pytest.mark.parametrize("masks", MASKS)
def test_an_alpha_channel_of_zeros_means_opaque(masks: str) -> None:
    assert prepare(with_alpha(masks, [0])).tensor[3, 3].tolist() == [200, 40, 10]


@pytest.mark.parametrize("masks", MASKS)
def test_any_other_alpha_channel_counts(masks: str) -> None:
    found = prepare(with_alpha(masks, [0, 255])).tensor
    assert found[3, :2].tolist() == [[255, 255, 255], [200, 40, 10]]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bmp(8, 8, 8, bytes(64), compression=4, palette=PALETTE), id="JPEG inside"),
        pytest.param(bmp(8, 8, 8, bytes(64), compression=5, palette=PALETTE), id="PNG inside"),
        pytest.param(bmp(8, 8, 64, bytes(512)), id="64 bits a pixel"),
        pytest.param(
            bmp(8, 8, 32, bytes(256), compression=3, masks=struct.pack("<4I", 7, 56, 448, 0)),
            id="masks of 3 bits",
        ),
    ],
)
def test_a_layout_that_is_not_decoded_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="BMP"):
        prepare(data)


@pytest.mark.parametrize("size", [2, 14, 17, 30, 53])
def test_a_cut_header_is_damaged(size: int) -> None:
    with pytest.raises(InvalidImage):
        prepare(bmp(8, 8, 24, bytes(192))[:size])
