"""Decoding of images: formats, limits, orientation."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from service.core.engine.pool import SlowWork
from service.core.imaging.decoding import open_image
from service.core.imaging.formats.signatures import sniff
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import BLUE, GREEN, RED, blobs, encoded, gradient, plain
from tests.support.models.tiny_model import image_limits, input_spec

LIMITS = image_limits(max_pixels=1_000_000)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def prepare(data: bytes, limits: ImageLimits = LIMITS, **changes: object) -> PreparedImage:
    return Preprocessor(input_spec(**changes), limits)(data)


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 8-bit RGB with any announced size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of 32 bytes with any announced size."""
    pixels = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(7)
    return b"RIFF\x18\0\0\0WEBPVP8L" + struct.pack("<I", len(pixels)) + pixels


def bmp(width: int, height: int) -> bytes:
    data = bytearray(plain(RED, (2, 2), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def gif(width: int, height: int) -> bytes:
    data = bytearray(plain(RED, (2, 2), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_frame(width: int, height: int) -> bytes:
    """A GIF with a screen of 2 x 2 and any announced frame size."""
    data = bytearray(plain(RED, (2, 2), "GIF"))
    frame = data.index(b",", 13)
    data[frame + 5 : frame + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def jpeg(width: int, height: int) -> bytes:
    data = bytearray(plain(RED, (16, 16), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(width: int, height: int) -> bytes:
    """A TIFF of two tags and no pixels."""
    tags = struct.pack("<HHII", 256, 4, 1, width) + struct.pack("<HHII", 257, 4, 1, height)
    return b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)


@pytest.mark.parametrize("name", FORMATS)
def test_each_supported_format_is_decoded(name: str) -> None:
    prepared = prepare(plain(GREEN, (64, 48), name))
    assert (prepared.format, prepared.width, prepared.height) == (name, 64, 48)
    assert np.abs(prepared.tensor.astype(int) - GREEN).max() <= 2


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\xff\xd8",
        b"just text, and no picture at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"8BPS\0\x01" + bytes(30),
        b"P6\n2 2\n255\n" + bytes(12),
        b"P5\n2 2\n255\n" + bytes(4),
        b"\0\0\x01\0\x01\0" + bytes(30),
        b"SIMPLE  =                    T" + b" " * 2850,
        bytes(18) + b"TRUEVISION-XFILE.\0",
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30),
        b"\xff\x4f\xff\x51" + bytes(30),
        b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(30),
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        b"RIFF\x24\0\0\0WEB",
        b"GIF88a" + bytes(30),
        b"\x89PNG\n" + bytes(30),
        b"PK\x03\x04" + bytes(30),
        b"DDS |\0\0\0" + bytes(120),
        b"qoif" + bytes(10),
        b" \xff\xd8\xff" + bytes(30),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_unknown_format_is_refused_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        sniff(data)
    with pytest.raises(UnsupportedImage):
        prepare(data)


def test_empty_file_is_an_invalid_image() -> None:
    with pytest.raises(InvalidImage, match="no bytes"):
        prepare(b"")


@pytest.mark.parametrize("name", ["PPM", "ICO", "TGA", "JPEG2000", "PCX", "SGI", "EPS"])
def test_formats_known_only_to_pillow_are_refused(name: str) -> None:
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {name}")
    with pytest.raises(UnsupportedImage):
        prepare(plain(RED, (32, 32), name))


@pytest.mark.parametrize("name", FORMATS)
def test_bare_signature_is_an_invalid_image(name: str) -> None:
    with pytest.raises(InvalidImage):
        prepare(plain(RED, (32, 32), name)[:16])


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_file_is_an_invalid_image(name: str) -> None:
    data = encoded(blobs((64, 48)), name)
    with pytest.raises(InvalidImage):
        prepare(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(60_000, 60_000), id="PNG"),
        pytest.param(webp(16_383, 16_383), id="WEBP"),
        pytest.param(bmp(30_000, 30_000), id="BMP"),
        pytest.param(gif(60_000, 60_000), id="GIF"),
        pytest.param(gif_frame(60_000, 60_000), id="GIF frame"),
        pytest.param(jpeg(60_000, 60_000), id="JPEG"),
        pytest.param(png(1001, 1000), id="one row over"),
        pytest.param(png(2**31 - 1, 1), id="wide"),
    ],
)
def test_too_many_pixels_are_refused_from_the_header(data: bytes) -> None:
    assert len(data) < 1000
    with pytest.raises(ImageTooLarge):
        prepare(data)


def test_tiff_with_too_many_pixels_is_refused() -> None:
    with pytest.raises((ImageTooLarge, InvalidImage)):
        prepare(tiff(60_000, 60_000))


def test_refusing_a_large_image_raises_no_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ImageTooLarge):
            prepare(png(10_000, 10_000))
    assert caught == []


def test_pixel_limit_is_inclusive_and_named_when_exceeded() -> None:
    limits = image_limits(max_pixels=64 * 48, max_frames=1)
    assert prepare(plain(size=(64, 48)), limits).width == 64
    with pytest.raises(ImageTooLarge, match="64 x 49 pixels") as caught:
        prepare(plain(size=(64, 49)), limits)
    assert "0.00307 megapixels" in caught.value.detail


@pytest.mark.parametrize(("name", "pixels"), [("PNG", 2**18), ("WEBP", 2**16)])
def test_decoding_memory_is_limited(name: str, pixels: int) -> None:
    limits = ImageLimits(max_pixels=10**9, max_frames=1, max_decode_bytes=2**20)
    assert prepare(plain(size=(pixels // 64, 64), format=name), limits).height == 64
    with pytest.raises(ImageTooLarge):
        prepare(plain(size=(pixels // 64 + 1, 64), format=name), limits)


@pytest.mark.parametrize(
    ("data", "is_slow"),
    [
        (png(5000, 4000), True),
        (png(4000, 4000), False),
        (plain(size=(2200, 2200), format="WEBP"), True),
        (plain(size=(2000, 2000), format="WEBP"), False),
        (jpeg(5000, 4000), False),
    ],
    ids=["large PNG", "small PNG", "large WebP", "small WebP", "large JPEG"],
)
def test_large_images_raise_slow_work_on_the_fast_lane(data: bytes, is_slow: bool) -> None:
    with open_image(data, image_limits()):
        pass
    refused = pytest.raises(SlowWork) if is_slow else nullcontext()
    with refused, open_image(data, image_limits(), may_be_slow=False):
        pass


@pytest.mark.parametrize(
    "data", [png(64, 64), bmp(64, 64), gif(64, 64), tiff(64, 64)], ids=["PNG", "BMP", "GIF", "TIFF"]
)
def test_header_larger_than_its_data_is_decoded_or_refused(data: bytes) -> None:
    try:
        prepared = prepare(data)
    except InvalidImage:
        return
    assert prepared.tensor.shape == (32, 32, 3)  # GIF: the rest of the screen is background


def frames(name: str, *colours: tuple[int, ...]) -> bytes:
    first, *others = (Image.new("RGB", (32, 32), colour) for colour in colours)
    lossless = {"lossless": True} if name == "WEBP" else {}
    return encoded(first, name, save_all=True, append_images=others, **lossless)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_or_page_is_decoded(name: str) -> None:
    data = frames(name, GREEN, RED, BLUE)
    with Image.open(io.BytesIO(data)) as file:
        assert getattr(file, "n_frames") == 3  # noqa: B009 - not every file has it
    assert np.abs(prepare(data).tensor.astype(int) - GREEN).max() <= 1


def test_a_png_or_webp_with_too_many_frames_is_refused() -> None:
    colours = [(number, 0, 0) for number in range(0, 220, 20)]
    with pytest.raises(ImageTooLarge, match="more than 10 frames"):
        prepare(frames("WEBP", *colours))
    assert prepare(frames("WEBP", *colours[:10])).format == "WEBP"
    with pytest.raises(ImageTooLarge, match="more than 10 frames"):
        prepare(png(2, 2, (b"acTL", struct.pack(">II", 2**31 - 1, 0))))


@pytest.mark.parametrize("name", ["GIF", "TIFF"])
def test_later_frames_of_gif_or_tiff_are_not_counted(name: str) -> None:
    assert prepare(frames(name, *[(n, 0, 0) for n in range(0, 220, 20)])).format == name


def test_jpeg_with_an_embedded_second_picture_is_a_jpeg() -> None:
    data = encoded(gradient((64, 48)), "MPO", save_all=True, append_images=[gradient((32, 24))])
    assert prepare(data).format == "JPEG"


def test_errors_during_image_use_raise_invalid_image() -> None:
    with pytest.raises(InvalidImage) as caught, open_image(plain(), LIMITS):
        raise ValueError("from some decoder")
    assert isinstance(caught.value.__cause__, ValueError)
