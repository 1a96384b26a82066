"""GIF: blocks before the first frame are ignored; pixels outside the frame are transparent."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from schemas.errors import InvalidImage
from service.core.imaging.formats import gif as gif_format
from service.core.imaging.formats.source import MAX_STEPS
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import encoded
from tests.support.models.tiny_model import image_limits, input_spec

SIDE = 32
COLOURS = Image.new("P", (SIDE, SIDE), 1)
COLOURS.putpalette((0, 0, 0, 0, 200, 0))
CLEAN = encoded(COLOURS, "GIF")


def prepare(data: bytes) -> PreparedImage:
    spec = input_spec(resize={"policy": "shorter_side", "pixels": SIDE})
    return Preprocessor(spec, image_limits())(data)


def with_blocks(blocks: bytes) -> bytes:
    start = 13 + (3 << (CLEAN[10] & 7) + 1)
    return CLEAN[:start] + blocks + CLEAN[start:]


def extension(label: int, data: bytes, size: int = 255) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return bytes((0x21, label)) + b"".join(bytes((len(one),)) + one for one in pieces) + b"\0"


BLOCKS: dict[str, bytes] = {
    "a megabyte of comments": extension(0xFE, bytes(2**20)),
    "100,000 comments": extension(0xFE, b"a") * 100_000,
    "a comment of 100,000 pieces": extension(0xFE, bytes(100_000), 1),
    "an application's data": extension(0xFF, b"XMP DataXMP" + bytes(300_000)),
    "a truncated loop": extension(0xFF, b"NETSCAPE2.0"),
    "an unknown extension": extension(0x42, b"abc"),
    "a control extension of another size": extension(0xF9, b"\1"),
    "padding": bytes(1000),
}


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)
def test_blocks_in_front_of_the_frame_do_not_matter(blocks: bytes) -> None:
    assert np.array_equal(prepare(with_blocks(blocks)).tensor, prepare(CLEAN).tensor)
    assert len(gif_format.prepare(with_blocks(blocks)).data) < len(CLEAN) + 10


def test_a_file_of_a_million_blocks_is_refused() -> None:
    with pytest.raises(InvalidImage, match="too many segments"):
        prepare(with_blocks(extension(0xFE, bytes(MAX_STEPS + 1), 1)))


@pytest.mark.parametrize(
    "data", [CLEAN[:30], CLEAN[:13], with_blocks(b"\x3b"), with_blocks(b"!\xfe\xff")]
)
def test_without_a_frame_it_is_damaged(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        prepare(data)


@pytest.mark.parametrize("is_clear", [False, True])
@pytest.mark.parametrize("colour_model", ["RGB", "grey"])
def test_what_the_first_frame_does_not_cover_is_white(colour_model: str, *, is_clear: bool) -> None:
    """The frame covers the lower right quarter; another colour may be transparent."""
    half = encoded(COLOURS.resize((SIDE // 2, SIDE // 2)), "GIF")
    start = 13 + (3 << (half[10] & 7) + 1)
    frame = bytearray(half[half.index(b",", start) :])
    frame[1:5] = (SIDE // 2).to_bytes(2, "little") * 2
    control = extension(0xF9, b"\1\0\0\1") if is_clear else b""
    data = half[:6] + SIDE.to_bytes(2, "little") * 2 + half[10:start] + control + bytes(frame)
    spec = input_spec(resize={"policy": "shorter_side", "pixels": SIDE}, colour=colour_model)
    found = Preprocessor(spec, image_limits())(data).tensor
    corners = found[2, 2], found[2, -3], found[-3, 2], found[-3, -3]
    green = [0, 200, 0] if colour_model == "RGB" else [117]
    white = [255] * len(green)
    assert [corner.tolist() for corner in corners] == [white, white, white, green]
