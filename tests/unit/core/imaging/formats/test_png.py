"""PNG: key colours apply at the file's own depth, and damaged metadata is ignored."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from schemas.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from service.core.imaging.formats import png as png_format
from service.core.imaging.formats.source import MAX_STEPS
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.hostile_files import PNG_SIGNATURE, chunk, deflated_zeros
from tests.support.models.pictures import GREEN, encoded, gradient, oriented, plain
from tests.support.models.tiny_model import image_limits, input_spec

SIDE = 32
GREY, RGB, PALETTE = 0, 2, 3
Colour = tuple[int, ...]


def prepare(data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
    spec = input_spec(resize={"policy": "shorter_side", "pixels": SIDE})
    return Preprocessor(spec, limits or image_limits())(data)


def halves(
    depth: int, kind: int, left: Colour, right: Colour, *between: bytes, interlaced: bool = False
) -> bytes:
    """A PNG of two colours side by side, with chunks before its pixels."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, kind, 0, 0, int(interlaced))
    pixels = [left] * (SIDE // 2) + [right] * (SIDE // 2)

    def row(step: int, first: int) -> bytes:
        bits = "".join(f"{value:0{depth}b}" for pixel in pixels[first::step] for value in pixel)
        bits += "0" * (-len(bits) % 8)
        return b"\0" + int(bits, 2).to_bytes(len(bits) // 8)

    # Adam7: first column, column step, number of rows.
    passes = ((0, 8, 4), (4, 8, 4), (0, 4, 4), (2, 4, 8), (0, 2, 8), (1, 2, 16), (0, 1, 16))
    rows = (
        b"".join(row(step, first) * count for first, step, count in passes)
        if interlaced
        else row(1, 0) * SIDE
    )
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    return PNG_SIGNATURE + chunk(b"IHDR", header) + b"".join(between) + body


def key(*values: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def colours(data: bytes) -> tuple[list[int], list[int]]:
    pixels = prepare(data).tensor
    return pixels[SIDE // 2, 2].tolist(), pixels[SIDE // 2, -2].tolist()


GREYS = [(1, 0), (1, 1), (2, 0), (2, 1), (4, 5), (8, 0), (8, 77), (16, 0), (16, 0x1234)]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "clear"), GREYS)
def test_a_grey_key_is_clear_and_its_neighbour_is_opaque(
    depth: int, clear: int, *, interlaced: bool
) -> None:
    top = (1 << depth) - 1
    other = clear + 1 if clear < top else clear - 1
    left, right = colours(
        halves(depth, GREY, (clear,), (other,), key(clear), interlaced=interlaced)
    )
    opaque = other >> 8 if depth == 16 else round(other * 255 / top)
    assert (left, right) == ([255] * 3, [opaque] * 3)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize(("depth", "clear"), [(8, (10, 20, 30)), (16, (0x1234, 0x56FE, 0))])
def test_neighbour_of_a_colour_key_stays_opaque(
    depth: int, clear: Colour, channel: int, *, interlaced: bool
) -> None:
    other = tuple(value + (place == channel) for place, value in enumerate(clear))
    left, right = colours(halves(depth, RGB, clear, other, key(*clear), interlaced=interlaced))
    assert (left, right) == ([255] * 3, [value >> (depth - 8) for value in other])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_entries_have_a_transparency_each(depth: int) -> None:
    palette = chunk(b"PLTE", bytes((10, 20, 30, 40, 50, 60)))
    alphas = chunk(b"tRNS", bytes([0]))
    assert colours(halves(depth, PALETTE, (0,), (1,), palette, alphas)) == (
        [255] * 3,
        [40, 50, 60],
    )


def test_only_the_low_bits_of_a_key_count() -> None:
    assert colours(halves(4, GREY, (5,), (8,), key(0xFFF5))) == ([255] * 3, [136] * 3)
    assert colours(halves(8, RGB, (1, 2, 3), GREEN, key(0x301, 2, 3)))[0] == [255] * 3


@pytest.mark.parametrize(
    "clear",
    [
        pytest.param(chunk(b"tRNS", b"\0"), id="too short"),
        pytest.param(chunk(b"tRNS", bytes(6)), id="too long"),
        pytest.param(key(7)[:-4] + bytes(4), id="a wrong checksum"),
    ],
)
def test_a_damaged_key_is_ignored(clear: bytes) -> None:
    assert colours(halves(8, GREY, (7,), (9,), clear)) == ([7] * 3, [9] * 3)


def test_a_key_beside_an_alpha_channel_is_ignored() -> None:
    assert colours(halves(8, 4, (7, 255), (9, 255), key(7))) == ([7] * 3, [9] * 3)


def test_a_deep_key_costs_memory_that_is_counted() -> None:
    deep = halves(16, RGB, (1, 2, 3), (4, 5, 6), key(1, 2, 3))
    assert prepare(deep, ImageLimits(10**6, 1, 12 * SIDE * SIDE)).width == SIDE
    with pytest.raises(ImageTooLarge):
        prepare(deep, ImageLimits(10**6, 1, 12 * SIDE * SIDE - 1))


NOISE = np.random.default_rng(0).bytes(1_500_000)
METADATA: dict[str, Callable[[], bytes]] = {
    "a profile of 1.5 MB": lambda: chunk(b"iCCP", b"a\0\0" + zlib.compress(NOISE)),
    "a profile that is not deflate": lambda: chunk(b"iCCP", b"a\0\0garbage"),
    "a profile of another method": lambda: chunk(b"iCCP", b"a\0\7garbage"),
    "a profile without a name": lambda: chunk(b"iCCP"),
    "text of 1.5 MB": lambda: chunk(b"zTXt", b"a\0\0" + zlib.compress(NOISE)),
    "a bomb of text": lambda: chunk(b"zTXt", b"a\0\0" + deflated_zeros(2**25)),
    "a bomb of international text": lambda: chunk(b"iTXt", b"a\0\1\0\0\0" + deflated_zeros(2**25)),
    "100 MB of text": lambda: chunk(b"tEXt", b"a\0" + bytes(10**7)) * 10,
    **{
        f"a short {kind}": lambda kind=kind: chunk(kind.encode(), b"\0")  # type: ignore[misc]
        for kind in ("pHYs", "gAMA", "cHRM", "sRGB", "tIME", "bKGD", "iTXt", "eXIf", "acTL", "fcTL")
    },
    **{
        f"{kind} with a wrong checksum": lambda kind=kind: (  # type: ignore[misc]
            chunk(kind.encode(), bytes(30))[:-4] + b"\1\2\3\4"
        )
        for kind in ("iCCP", "pHYs", "gAMA", "tEXt", "eXIf", "acTL", "prVt")
    },
    "100,000 chunks": lambda: chunk(b"teSt") * 100_000,
}


@pytest.mark.parametrize("place", ["in front of", "behind"])
@pytest.mark.parametrize("make", METADATA.values(), ids=METADATA)
def test_metadata_does_not_spoil_good_pixels(make: Callable[[], bytes], place: str) -> None:
    clean = plain(GREEN)
    at = 33 if place == "in front of" else clean.rindex(b"IEND") - 4
    prepared = prepare(clean[:at] + make() + clean[at:])
    assert np.array_equal(prepared.tensor, prepare(clean).tensor)


def test_a_parser_gets_nothing_that_pixels_do_not_need() -> None:
    text, clean = chunk(b"tEXt", b"a\0secret"), plain(GREEN)
    source = png_format.prepare(clean[:33] + text + clean[33:])
    assert b"tEXt" not in source.data
    assert source.data == png_format.prepare(clean).data


def test_orientation_and_animation_are_read_beside_the_pixels() -> None:
    source = png_format.prepare(oriented(gradient((64, 48)), 6, "PNG"))
    assert source.exif
    assert b"eXIf" not in source.data
    animation = chunk(b"acTL", struct.pack(">II", 7, 0))
    assert png_format.prepare(plain()[:33] + animation + plain()[33:]).frames == 7


def test_a_file_of_a_million_chunks_is_refused() -> None:
    with pytest.raises(InvalidImage, match="too many segments"):
        prepare(plain()[:33] + chunk(b"teSt") * MAX_STEPS + plain()[33:])


def test_pixels_in_very_small_chunks_are_read() -> None:
    clean = plain(GREEN, (300, 200))
    start = clean.index(b"IDAT") - 4
    (size,) = struct.unpack_from(">I", clean, start)
    pixels = clean[start + 8 : start + 8 + size]
    pieces = b"".join(chunk(b"IDAT", pixels[at : at + 1]) for at in range(size))
    prepared = prepare(clean[:start] + pieces + clean[start + 12 + size :])
    assert np.array_equal(prepared.tensor, prepare(clean).tensor)


def test_apples_variant_is_unsupported() -> None:
    data = plain()
    with pytest.raises(UnsupportedImage, match="Apple"):
        prepare(data[:8] + chunk(b"CgBI", bytes(4)) + data[8:])


@pytest.mark.parametrize("missing", [b"IHDR", b"IDAT"])
def test_without_a_header_or_pixels_it_is_damaged(missing: bytes) -> None:
    data = encoded(gradient((64, 48)))
    start = data.index(missing) - 4
    (size,) = struct.unpack_from(">I", data, start)
    with pytest.raises(InvalidImage):
        prepare(data[:start] + data[start + 12 + size :])
