"""Every supported layout of TIFF gives the pixels of a second decoder; all others are refused.

The second decoder is tifffile with imagecodecs, which share no code with Pillow and libtiff as far
as samples are unpacked.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import UnsupportedImage
from service.core.imaging.preprocessing import Preprocessor
from tests.support.models.tiff_files import tiff_of
from tests.support.models.tiny_model import image_limits, input_spec

SIDE = 32
Pixels = NDArray[Any]


def drawn(bits: int, samples: int) -> Pixels:
    """A gradient with different samples: [SIDE, SIDE] or [SIDE, SIDE, samples]."""
    across, down = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    planes = [across, down, 1 - across, (across + down) / 2][:samples]
    values = np.round(np.stack(planes, 2) * ((1 << bits) - 1))
    kind = np.uint8 if bits <= 8 else np.uint16
    return values.astype(kind)[:, :, 0] if samples == 1 else values.astype(kind)


def tiff(bits: int, samples: int, **options: Any) -> bytes:
    """A TIFF of ``drawn``; ``options``: those of ``tifffile.imwrite``."""
    pixels = drawn(bits, samples)
    if options.get("extrasamples") == [1]:  # the colours are multiplied by alpha
        alpha = pixels[:, :, 3:] / ((1 << bits) - 1)
        pixels[:, :, :3] = np.round(pixels[:, :, :3] * alpha)
    if options.get("planarconfig") == "separate":
        pixels = pixels.transpose(2, 0, 1)
    if options.get("photometric") == "palette":
        ramp = np.linspace(0, 65_535, 1 << bits).astype(np.uint16)
        options["colormap"] = np.stack([ramp, ramp[::-1], ramp // 2])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, bitspersample=bits, metadata=None, **options)
    return buffer.getvalue()


def read(data: bytes) -> Pixels:
    """Return the server's pixels: [SIDE, SIDE, 3]."""
    spec = input_spec(resize={"policy": "shorter_side", "pixels": SIDE})
    pixels: Pixels = Preprocessor(spec, image_limits())(data).tensor
    return pixels


def expected(data: bytes) -> Pixels:
    """8-bit colours on white, by the second decoder and the specification."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        samples, top = page.asarray(), (1 << page.bitspersample) - 1
        photometric, extra = page.photometric, page.extrasamples
        planar, palette = page.planarconfig, page.colormap
    if planar == 2:
        samples = samples.transpose(1, 2, 0)
    if palette is not None:
        return np.asarray(palette.transpose()[samples] >> 8)
    shares = samples.reshape(SIDE, SIDE, -1) / top
    colours = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}[photometric]
    pixels, alpha = shares[:, :, :colours], shares[:, :, colours:]
    if photometric == 0:
        pixels = 1 - pixels
    if photometric == 5:
        pixels = (1 - pixels[:, :, :3]) * (1 - pixels[:, :, 3:])
    if extra and extra[0] == 2:
        pixels = pixels * alpha[:, :, :1] + 1 - alpha[:, :, :1]
    elif extra and extra[0] == 1:
        pixels = pixels + 1 - alpha[:, :, :1]
    return np.asarray(np.broadcast_to(pixels * 255, (SIDE, SIDE, 3)))


def layouts() -> Iterator[dict[str, Any]]:
    """The supported layouts."""
    for photometric, bits in itertools.product(("minisblack", "miniswhite"), (1, 2, 4, 8, 12, 16)):
        yield {"photometric": photometric, "bits": bits, "samples": 1}
    yield {"photometric": "palette", "bits": 8, "samples": 1}
    for planes, extra in (("contig", 2), ("contig", 0), ("separate", 0)):
        grey = {"photometric": "minisblack", "bits": 8, "samples": 2}
        yield grey | {"planarconfig": planes, "extrasamples": [extra]}
    for bits, planes in itertools.product((8, 16), ("contig", "separate")):
        yield {"photometric": "rgb", "bits": bits, "samples": 3, "planarconfig": planes}
        yield {"photometric": "separated", "bits": bits, "samples": 4, "planarconfig": planes}
        for extra in (0, 1, 2):
            colour = {"photometric": "rgb", "bits": bits, "samples": 4}
            yield colour | {"planarconfig": planes, "extrasamples": [extra]}


def name(options: dict[str, Any]) -> str:
    return " ".join(str(value) for value in options.values())


CODINGS: tuple[dict[str, Any], ...] = (
    {},
    {"rowsperstrip": 5},
    {"tile": (16, 16)},
    {"bigtiff": True},
    {"compression": "lzw"},
    {"compression": "lzw", "predictor": 2},
    {"compression": "adobe_deflate", "tile": (16, 16)},
    {"compression": "packbits"},
    {"compression": "zstd"},
    {"compression": "lzma"},
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", list(layouts()), ids=name)
def test_pixels_are_those_of_a_second_decoder(layout: dict[str, Any], order: str) -> None:
    for coding in CODINGS:
        if "compression" in coding and layout["bits"] not in {8, 16}:
            continue  # the second decoder packs samples only uncompressed
        data = tiff(**layout, **coding, byteorder=order)
        # Pillow divides 8 bits by alpha, and 16 bits are reduced to 8.
        off = 3 if layout.get("extrasamples") == [1] else 2
        assert np.abs(read(data) - expected(data)).max() <= off, coding


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_packed_samples_may_be_compressed(compression: str, order: str) -> None:
    plain = tiff(12, 1, photometric="minisblack", byteorder=order)
    rows = unpacked_strip(plain)
    code = {"tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773}[compression]
    encode = {5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode}
    strip = bytes(encode.get(code, imagecodecs.packbits_encode)(rows))
    fields = {256: SIDE, 257: SIDE, 258: 12, 259: code, 262: 1, 277: 1, 278: SIDE}
    assert np.array_equal(read(tiff_of(fields, [strip], order=order)), read(plain))


def unpacked_strip(data: bytes) -> bytes:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        return bytes(data[page.dataoffsets[0] :][: sum(page.databytecounts)])


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_ycbcr_is_read_with_and_without_jpeg(planes: str) -> None:
    pixels = drawn(8, 3)
    colours = np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB")).astype(int)
    options: dict[str, Any] = {"photometric": "ycbcr", "planarconfig": planes}
    assert np.abs(read(tiff(8, 3, **options)) - colours).max() <= 2
    if planes == "separate":  # otherwise tifffile converts from RGB
        coded = tiff(8, 3, compression="jpeg", compressionargs={"level": 98}, **options)
        assert np.abs(read(coded) - colours).max() <= 4


@pytest.mark.parametrize("top", [511, 1023, 4095, 16_383, 32_767])
@pytest.mark.parametrize("photometric", [0, 1])
def test_fewer_bits_in_16_are_scaled_by_max_sample_value(photometric: int, top: int) -> None:
    values = np.linspace(0, top, SIDE).astype("<u2")
    fields = {256: SIDE, 257: SIDE, 258: 16, 262: photometric, 277: 1, 278: SIDE, 281: top}
    found = read(tiff_of(fields, [np.tile(values, SIDE).tobytes()]))
    ramp = np.round(values / top * 255)
    assert np.abs(found[0, :, 0] - (ramp if photometric else 255 - ramp)).max() <= 1


def test_max_sample_value_that_is_no_depth_is_ignored() -> None:
    values = np.full((SIDE, SIDE), 3000, "<u2").tobytes()
    fields = {256: SIDE, 257: SIDE, 258: 16, 262: 1, 277: 1, 278: SIDE, 281: 3000}
    assert read(tiff_of(fields, [values])).max() == 3000 >> 8


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_without_interpretation_is_white_at_zero(bits: int) -> None:
    fields = {256: SIDE, 257: SIDE, 258: bits, 277: 1, 278: SIDE}
    assert read(tiff_of(fields, [bytes(SIDE * SIDE * bits // 8)])).min() == 255


def test_a_palette_of_8_bits_is_scaled() -> None:
    ramp = np.arange(256)
    fields: dict[int, Any] = {256: SIDE, 257: SIDE, 258: 8, 262: 3, 277: 1, 278: SIDE}
    fields[320] = np.concatenate([ramp, ramp[::-1], ramp]).astype(np.uint16)
    found = read(tiff_of(fields, [bytes([200]) * SIDE * SIDE]))
    assert found[0, 0].tolist() == [200, 55, 200]


REFUSED: dict[str, Callable[[], bytes]] = {
    "10 bits": lambda: tiff(10, 1, photometric="minisblack"),
    "14 bits": lambda: tiff(14, 1, photometric="miniswhite"),
    "12 bits of colour": lambda: tiff(12, 3, photometric="rgb"),
    "4 bits of colour": lambda: tiff(4, 3, photometric="rgb"),
    "signed 8 bits": lambda: of_array(np.zeros((SIDE, SIDE), np.int8)),
    "signed 16 bits": lambda: of_array(np.zeros((SIDE, SIDE), np.int16)),
    "32 bits": lambda: of_array(np.zeros((SIDE, SIDE), np.uint32)),
    "64 bits": lambda: of_array(np.zeros((SIDE, SIDE), np.uint64)),
    "16-bit floats": lambda: of_array(np.zeros((SIDE, SIDE), np.float16)),
    "32-bit floats": lambda: of_array(np.zeros((SIDE, SIDE), np.float32)),
    "64-bit floats": lambda: of_array(np.zeros((SIDE, SIDE), np.float64)),
    "complex numbers": lambda: of_array(np.zeros((SIDE, SIDE), np.complex64)),
    "signed colours": lambda: of_array(np.zeros((SIDE, SIDE, 3), np.int8), photometric="rgb"),
    "grey of 16 bits with alpha": lambda: tiff(16, 2, photometric="minisblack", extrasamples=[2]),
    "inverted grey with alpha": lambda: tiff(8, 2, photometric="miniswhite", extrasamples=[2]),
    "grey and alpha in planes": lambda: tiff(
        8, 2, photometric="minisblack", extrasamples=[2], planarconfig="separate"
    ),
    "Lab in planes": lambda: tiff(8, 3, photometric="cielab", planarconfig="separate"),
    "a raw photo": lambda: tiff(16, 1, photometric="cfa"),
    "unequal bits": lambda: tiff_of(
        {256: 8, 257: 8, 258: [5, 6, 5], 262: 2, 277: 3, 278: 8}, [bytes(128)]
    ),
    "other inks": lambda: tiff_of(
        {256: 8, 257: 8, 258: [8] * 4, 262: 5, 277: 4, 278: 8, 332: 2}, [bytes(256)]
    ),
    "WebP of floats": lambda: tiff_of({256: 8, 257: 8, 258: 8, 259: 50002, 262: 1}, [bytes(64)]),
    "JPEG of 12 bits": lambda: tiff_of({256: 8, 257: 8, 258: 12, 259: 7, 262: 1}, [bytes(64)]),
}


def of_array(pixels: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_would_be_misread_is_unsupported_and_not_damaged(make: Callable[[], bytes]) -> None:
    with pytest.raises(UnsupportedImage, match="TIFF"):
        read(make())
