"""TIFF: the fields that pixels need, and the layouts that Pillow would misread. TIFF 6.0, BigTIFF.

A file gets a new directory with one image and only these fields, so that Pillow and libtiff do not
parse profiles, thumbnails, further pages or loops of directories.
"""

from __future__ import annotations

import ctypes
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, _imaging

from schemas.errors import InvalidImage, UnsupportedImage
from service.core.imaging.formats.jpeg import (
    ALL_FRAMES,
    END,
    MARKER,
    SCAN,
    STANDALONE,
)
from service.core.imaging.formats.source import MAX_STEPS, Convert, Source
from service.core.imaging.formats.tiff_directory import Fields, Tag, read_fields, written
from service.core.imaging.image_limits import ImageLimits

# Otherwise Pillow decodes uncompressed strips in Python, one by one, and planes of 16 bits wrongly.
TiffImagePlugin.READ_LIBTIFF = True
# libtiff would print a line for every damaged file; Pillow raises the errors that matter.
for _name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
    with suppress(AttributeError):  # Pillow without libtiff, or with hidden symbols
        getattr(ctypes.CDLL(_imaging.__file__), _name)(None)

UNCOMPRESSED, OLD_JPEG, JPEG = 1, 6, 7
LOSSLESS = {UNCOMPRESSED, 5, 8, 32773, 32946}
"""None, LZW, Deflate, PackBits, Deflate under its old number."""
COMPRESSIONS = LOSSLESS | {2, 3, 4, OLD_JPEG, JPEG, 34925, 50000, 50001}
"""In addition: CCITT fax, LZMA, Zstandard, WebP."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
PLANAR_COLOURS = {RGB, CMYK, YCBCR}
"""Interpretations of which Pillow reads separate planes; of grey images it only reads the first."""
MAX_SAMPLES = TiffImagePlugin.MAX_SAMPLESPERPIXEL
SEPARATE_PLANES, CMYK_INKS = 2, 1
UNSIGNED, UNDEFINED = 1, 4
STRIPS = (Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS)
TILES = (Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS)


def prepare(data: bytes, limits: ImageLimits) -> Source:
    """Return a TIFF with only the pixels of the first page.

    Raises:
        InvalidImage: the directory, or its description of the pixels, is damaged.
        UnsupportedImage: a layout or compression that is not decoded.
        ImageTooLarge: see ``ImageLimits.check_size``.
    """
    fields = read_fields(data)
    width, height = fields.number(Tag.WIDTH, 0), fields.number(Tag.HEIGHT, 0)
    if width < 1 or height < 1:
        raise InvalidImage
    limits.check_size(width, height)
    layout = _layout(fields)
    piece_pixels = _check_pieces(fields, width, height, layout.planes, len(data))
    if layout.compression == JPEG:
        _check_jpeg(fields, data)
    source = Source(b"")
    photometric = fields.number(Tag.PHOTOMETRIC, WHITE_IS_ZERO)
    if photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO} and layout.bits > 8:
        top, is_inverted = _top(fields, layout.bits), photometric == WHITE_IS_ZERO
        if is_inverted:
            fields.set(Tag.PHOTOMETRIC, np.array([BLACK_IS_ZERO], np.uint16))
        if is_inverted or top < 65_535:
            source.after_load = partial(_grey, top, is_inverted)
    fields.drop(Tag.SAMPLE_FORMAT, Tag.MAX_SAMPLE_VALUE)
    _widen_palette(fields)
    # Packed samples are the same in either byte order; Pillow reads them only in this one.
    order = "<" if layout.bits == 12 else fields.order
    source.data = written(fields, data, order)
    # libtiff decodes a strip or tile as a whole, and Pillow copies it.
    strip_bytes = piece_pixels * layout.bits * layout.samples / 8
    source.pixel_bytes = 4 + math.ceil(strip_bytes / (width * height))
    return source


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of samples: bits per sample, samples per pixel, number of planes."""

    bits: int
    samples: int
    planes: int
    compression: int


def _layout(fields: Fields) -> Layout:
    """Return the layout of the pixels; Pillow refuses further unsupported layouts itself.

    Raises:
        UnsupportedImage: a layout that Pillow would misread, or that libtiff does not decode.
    """
    compression = fields.number(Tag.COMPRESSION, UNCOMPRESSED)
    if compression not in COMPRESSIONS:
        raise UnsupportedImage(f"TIFF with compression {compression} is not supported.")
    if compression == OLD_JPEG:
        return Layout(8, 3, 0, compression)
    samples = fields.number(Tag.SAMPLES_PER_PIXEL, 1)
    if samples > MAX_SAMPLES:
        raise UnsupportedImage(f"TIFF of {samples} samples a pixel is not supported.")
    all_bits = fields.numbers(Tag.BITS_PER_SAMPLE)[: max(1, samples)] or (1,)
    bits = all_bits[0]
    formats = set(fields.numbers(Tag.SAMPLE_FORMAT))
    if set(all_bits) != {bits} or bits > 16 or not formats <= {UNSIGNED, UNDEFINED}:
        raise UnsupportedImage(
            "TIFF of samples that are signed, floating-point, of unequal size or of more than "
            "16 bits is not supported."
        )
    predictor = fields.number(Tag.PREDICTOR, 1)
    is_whole = bits in {8, 16}
    if (
        (8 < bits < 16 and (bits != 12 or samples > 1 or compression not in LOSSLESS))
        or (compression == JPEG and bits != 8)
        or (predictor != 1 and not (predictor == 2 and is_whole))
    ):
        raise UnsupportedImage(f"TIFF of {bits} bits a sample, coded like this, is not supported.")
    photometric = fields.number(Tag.PHOTOMETRIC, WHITE_IS_ZERO)
    if photometric == CMYK and fields.number(Tag.INK_SET, CMYK_INKS) != CMYK_INKS:
        raise UnsupportedImage("TIFF of other inks than CMYK is not supported.")
    if fields.number(Tag.PLANAR_CONFIGURATION, 1) not in {1, SEPARATE_PLANES}:
        raise InvalidImage
    is_planar = samples > 1 and fields.number(Tag.PLANAR_CONFIGURATION, 1) == SEPARATE_PLANES
    is_grey = photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO}
    if is_planar and not (
        is_whole
        and (
            photometric in PLANAR_COLOURS
            or (is_grey and not any(fields.numbers(Tag.EXTRA_SAMPLES)))
        )
    ):
        raise UnsupportedImage("TIFF with these samples in separate planes is not supported.")
    return Layout(bits, samples, samples if is_planar else 1, compression)


def _check_pieces(fields: Fields, width: int, height: int, planes: int, size: int) -> int:
    """Check the strips or tiles, and return how many pixels one has.

    Raises:
        InvalidImage: there are fewer than the pixels need, or they overlap.
    """
    if Tag.TILE_WIDTH in fields.values:
        across, down = fields.number(Tag.TILE_WIDTH, 0), fields.number(Tag.TILE_LENGTH, 0)
        used, unused = TILES, STRIPS
    else:
        across, down = width, min(fields.number(Tag.ROWS_PER_STRIP, height), height)
        used, unused = STRIPS, TILES
    if across < 1 or down < 1:
        raise InvalidImage
    fields.drop(*unused)
    needed = planes * -(-width // across) * -(-height // down)
    offsets, counts = (fields.values.get(tag) for tag in used)
    if needed and (offsets is None or offsets.size < needed):
        raise InvalidImage
    for tag, values in zip(used, (offsets, counts), strict=True):
        if values is not None:
            fields.set(tag, values[:needed] if needed else values)
    # Strips may share bytes, such as those of empty tiles, but that must not multiply the work.
    if counts is not None and offsets is not None and needed:
        lengths = counts[:needed].astype(np.float64)
        ends = offsets[: lengths.size] + lengths
        if lengths.sum() > 2 * size or ends.max(initial=0) > size:
            raise InvalidImage
    return across * down


def _check_jpeg(fields: Fields, data: bytes) -> None:
    """Refuse progressive JPEG, whose scans libtiff does not bound as our own limits do."""
    tag = TILES[0] if Tag.TILE_WIDTH in fields.values else STRIPS[0]
    steps = 0
    for start in fields.numbers(tag):
        position = start + 2
        while match := MARKER.search(data, position):
            marker = match[1][0]
            steps += 1
            if steps > MAX_STEPS:
                raise InvalidImage("The image file has too many segments.")
            if marker in {0xC0, 0xC1, SCAN, END}:
                break
            if marker in ALL_FRAMES:
                raise UnsupportedImage("Progressive JPEG inside TIFF is not supported.")
            size = (
                0 if marker in STANDALONE else int.from_bytes(data[match.end() : match.end() + 2])
            )
            position = match.end() + size


def _top(fields: Fields, bits: int) -> int:
    """Return the sample value of white (or black): the largest of that bit depth.

    Samples of 9 to 15 bits are often stored in 16; MaxSampleValue has their maximum.
    """
    largest = fields.number(Tag.MAX_SAMPLE_VALUE, 0)
    if bits == 16 and largest in {(1 << depth) - 1 for depth in range(9, 16)}:
        return largest
    return (1 << bits) - 1


def _grey(top: int, is_inverted: bool, _: ImageFile.ImageFile) -> Convert:
    def convert(strip: Image.Image, _: tuple[int, int]) -> Image.Image:
        values = np.minimum(np.asarray(strip).astype(np.uint32), top)
        if is_inverted:
            values = top - values
        # 16 bits are reduced to 8, as for other formats.
        scaled = values >> 8 if top == 65_535 else (values * 255 + top // 2) // top
        return Image.fromarray(scaled.astype(np.uint8))

    return convert


def _widen_palette(fields: Fields) -> None:
    """Scale a palette of 8 bits to the 16 of the specification, as libtiff does."""
    palette = fields.values.get(Tag.COLOR_MAP)
    if palette is not None and palette.size and palette.dtype == np.uint16 and palette.max() < 256:
        fields.set(Tag.COLOR_MAP, palette * np.uint16(257))
