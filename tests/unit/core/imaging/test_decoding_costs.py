"""Small files that are expensive to decode are refused; large valid ones are not."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.errors import ImageTooLarge, UnsupportedImage
from service.core.imaging.image_limits import ImageLimits, count_scan_marks
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, noise
from tests.support.models.tiff_files import Value, tiff_of
from tests.support.models.tiny_model import image_limits, input_spec

PHOTO = blobs((160, 120))
PROGRESSIVE = encoded(PHOTO, "JPEG", progressive=True)
END = b"\xff\xd9"


def prepare(data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
    return Preprocessor(input_spec(), limits or image_limits())(data)


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated up to a number of scans."""
    last = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
    missing = count - PROGRESSIVE.count(b"\xff\xda")
    return PROGRESSIVE[:-2] + last * missing + END


def test_scans_are_counted_only_where_a_decoder_reads_more_than_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[int] = []

    def check_scans(_: ImageLimits, data: bytes, *__: int) -> None:
        counted.append(len(data))

    monkeypatch.setattr(ImageLimits, "check_scans", check_scans)
    prepare(encoded(PHOTO, "JPEG"))
    assert counted == []
    prepare(PROGRESSIVE)
    assert counted == [len(PROGRESSIVE)]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def in_small_chunks(image: Image.Image, size: int) -> bytes:
    """A PNG whose pixels come in many small chunks, as libpng writes them."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(image))
    packed = zlib.compress(rows, 1)
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 0)
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(b"IDAT", piece) for piece in pieces)
        + chunk(b"IEND", b"")
    )


def test_progressive_jpeg_with_usual_scans_is_decoded() -> None:
    assert prepare(PROGRESSIVE).format == "JPEG"
    assert PROGRESSIVE.count(b"\xff\xda") > 5


def test_jpeg_with_too_many_scans_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="too many scans"):
        prepare(with_scans(101))


def test_larger_jpegs_may_have_fewer_scans() -> None:
    pixels = PHOTO.width * PHOTO.height
    assert prepare(with_scans(20), image_limits(max_pixels=pixels)).format == "JPEG"
    with pytest.raises(ImageTooLarge, match="too many scans"):
        prepare(with_scans(21), image_limits(max_pixels=pixels))


@given(st.lists(st.sampled_from([b"\xff", b"\xda", b"\0", b"\xff\xda"]), min_size=3))
def test_scan_markers_are_counted_at_any_offset(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert count_scan_marks(data) == data.count(b"\xff\xda")


def test_video_appended_to_a_jpeg_is_not_counted_as_scans() -> None:
    """Phones append a few seconds of film to a JPEG ("motion photo")."""
    film = np.random.default_rng(0).bytes(10 * 2**20)
    assert prepare(encoded(PHOTO, "JPEG") + film).format == "JPEG"


def test_progressive_jpeg_in_a_tiff_is_refused() -> None:
    fields: dict[int, Value] = {
        256: PHOTO.width,
        257: PHOTO.height,
        258: [8, 8, 8],
        259: 7,
        262: 6,
        277: 3,
    }
    fields |= {278: PHOTO.height, 530: [2, 2]}
    assert prepare(tiff_of(fields, [encoded(PHOTO, "JPEG")])).format == "TIFF"
    with pytest.raises(UnsupportedImage, match="inside TIFF"):
        prepare(tiff_of(fields, [PROGRESSIVE]))


def test_profile_in_a_tiff_may_contain_marker_bytes() -> None:
    clean = encoded(PHOTO, "TIFF", compression="jpeg")
    data = encoded(PHOTO, "TIFF", compression="jpeg", icc_profile=b"\xff\xc2" * 200)
    assert np.array_equal(prepare(data).tensor, prepare(clean).tensor)


@pytest.mark.parametrize("size", [4096, 8192])
def test_png_in_small_libpng_chunks_is_decoded(size: int) -> None:
    data = in_small_chunks(noise((1200, 1000)), size)
    assert len(data) > 3 * 10**6
    assert prepare(data).format == "PNG"


def test_tiff_with_one_row_per_strip_is_decoded() -> None:
    image = Image.new("L", (600, 3000), 200)
    data = encoded(image, "TIFF", tiffinfo={278: 1})
    assert prepare(data).tensor.min() == 200


def test_metadata_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(2**25), 9)
    data = encoded(PHOTO, "WEBP", exif=b"Exif\0\0" + bomb, lossless=True)
    tracemalloc.start()
    try:
        assert prepare(data).format == "WEBP"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22, "bytes"
