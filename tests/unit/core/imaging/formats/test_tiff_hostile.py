"""TIFFs with false or repeated fields: work is bounded by the file, pixels are correct."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest

from schemas.errors import CallerError, ImageTooLarge, InvalidImage
from service.core.imaging.formats import tiff as tiff_format
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, oriented
from tests.support.models.tiff_files import tiff_of
from tests.support.models.tiny_model import image_limits, input_spec

SIDE = 64
GREY: dict[int, Any] = {256: SIDE, 257: SIDE, 258: 8, 262: 1, 277: 1, 278: SIDE}
PIXELS = bytes(range(SIDE)) * SIDE
CLEAN = tiff_of(GREY, [PIXELS])


def prepare(data: bytes) -> PreparedImage:
    return Preprocessor(input_spec(), image_limits())(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({34675: bytes(10**6)}, id="a profile of a megabyte"),
        pytest.param({700: b"<x:xmpmeta tiff:Orientation='6'/>"}, id="XMP with an orientation"),
        pytest.param({34665: 8, 34853: 8}, id="EXIF and GPS at the pixels"),
        pytest.param({330: [8] * 1000}, id="directories at the pixels"),
        pytest.param({270: b"\xff" * 100, 282: 0, 283: 0, 296: 77}, id="odd text and resolutions"),
        pytest.param(dict.fromkeys(range(40000, 60000), 1), id="20,000 private fields"),
        pytest.param({258: [8] * 1000}, id="more bits than samples"),
    ],
)
def test_other_fields_do_not_spoil_good_pixels(more: dict[int, Any], order: str) -> None:
    data = tiff_of(GREY | more, [PIXELS], order=order)
    assert np.array_equal(prepare(data).tensor, prepare(CLEAN).tensor)
    assert len(tiff_format.prepare(data, image_limits()).data) < len(data) + 300


def test_directories_that_point_at_each_other_are_not_followed() -> None:
    (start,) = struct.unpack_from("<I", CLEAN, 4)
    (count,) = struct.unpack_from("<H", CLEAN, start)
    end = start + 2 + 12 * count
    looped = CLEAN[:end] + struct.pack("<I", start) + CLEAN[end + 4 :]
    assert np.array_equal(prepare(looped).tensor, prepare(CLEAN).tensor)


def test_of_a_field_that_is_there_twice_the_first_counts() -> None:
    start = len(CLEAN)
    (old,) = struct.unpack_from("<I", CLEAN, 4)
    (count,) = struct.unpack_from("<H", CLEAN, old)
    entries = CLEAN[old + 2 : old + 2 + 12 * count]
    again = struct.pack("<HHII", 256, 3, 1, 60_000)
    data = b"II*\0" + struct.pack("<I", start) + CLEAN[8:]
    data += struct.pack("<H", count + 1) + entries + again + bytes(4)
    assert np.array_equal(prepare(data).tensor, prepare(CLEAN).tensor)


@pytest.mark.parametrize("rows", [1, 3])
def test_strips_of_few_rows_are_read_however_many_there_are(rows: int) -> None:
    height = 30_000
    strips = [bytes([at % 251]) * (2 * rows) for at in range(-(-height // rows))]
    data = tiff_of({256: 2, 257: height, 258: 8, 262: 1, 277: 1, 278: rows}, strips)
    assert prepare(data).height == height


def test_strips_that_share_bytes_do_not_multiply_the_work() -> None:
    packed = zlib.compress(np.random.default_rng(0).bytes(100_000))
    fields: dict[int, Any] = {256: 8, 257: 4000, 258: 8, 259: 8, 262: 1, 277: 1, 278: 1}
    shared = {273: [8] * 4000, 279: [len(packed)] * 4000}
    with pytest.raises(InvalidImage):
        prepare(tiff_of(fields | shared, [packed]))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({256: 60_000, 257: 60_000}, id="pixels"),
        pytest.param({256: 2**32 - 1}, id="width"),
        pytest.param({257: 2**32 - 1, 278: 1}, id="rows"),
        pytest.param({322: 65_520, 323: 65_520, 324: 8, 325: 4096}, id="a tile of 4 gigabytes"),
    ],
)
def test_sizes_that_would_take_gigabytes_are_refused(change: dict[int, Any]) -> None:
    data = tiff_of(GREY | change, [PIXELS])
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge):
            prepare(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({256: 0}, id="no width"),
        pytest.param({278: 0}, id="no rows in a strip"),
        pytest.param({278: 1}, id="too few strips"),
        pytest.param({273: 10**6}, id="pixels after the end"),
        pytest.param({322: 0, 323: 16}, id="no tile"),
        pytest.param({322: 16, 323: 16, 324: [8] * 3}, id="too few tiles"),
        pytest.param({257: b""}, id="no height"),
    ],
)
def test_a_directory_that_contradicts_itself_is_damaged(fields: dict[int, Any]) -> None:
    with pytest.raises(InvalidImage):
        prepare(tiff_of(GREY | fields, [PIXELS]))


@pytest.mark.parametrize("header", [b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"])
@pytest.mark.parametrize("rest", [b"", b"\xff" * 8, b"\xff" * 40, bytes(40), b"\x08\0\0\0\xff\xff"])
def test_a_directory_that_is_not_there_is_damaged(header: bytes, rest: bytes) -> None:
    with pytest.raises(InvalidImage):
        prepare(header + rest)


def test_a_field_that_reaches_beyond_the_file_is_damaged() -> None:
    (start,) = struct.unpack_from("<I", CLEAN, 4)
    data = bytearray(CLEAN)
    at = data.index(struct.pack("<HH", 258, 3), start)
    data[at + 4 : at + 12] = struct.pack("<II", 60, 2**31)
    with pytest.raises(InvalidImage):
        prepare(bytes(data))


def test_orientation_is_applied_and_no_other_metadata_is_kept() -> None:
    upright = blobs((96, 64))
    for orientation in range(1, 9):
        prepared = prepare(oriented(upright, orientation, "TIFF", compression="tiff_lzw"))
        assert (prepared.width, prepared.height) == (96, 64)
        assert np.abs(prepared.tensor - prepare(encoded(upright)).tensor.astype(int)).max() <= 1


def test_any_field_may_be_any_number() -> None:
    """Any value of a field gives a tensor or a caller error."""
    rng = np.random.default_rng(0)
    tags = [256, 257, 258, 259, 262, 266, 274, 277, 278, 284, 317, 320, 322, 323, 338, 339, 530]
    for _ in range(2000):
        changed = {
            int(tag): int(rng.choice([0, 1, 2, 3, 5, 6, 7, 8, 12, 16, 64, 255, 65_535, 2**32 - 1]))
            for tag in rng.choice(tags, rng.integers(1, 4), replace=False)
        }
        order = "<>"[int(rng.integers(2))]
        try:
            prepare(tiff_of(GREY | changed, [PIXELS], order=order))
        except CallerError:
            continue
