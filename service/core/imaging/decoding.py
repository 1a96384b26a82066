"""Decoding of images, with limits that are checked on the header.

Pillow's plugins are named one by one, so that a file can never reach EPS, PSD, FITS or any other
plugin, and ``formats`` removes data that the pixels do not need. The first frame of an
animation and the first page of a TIFF are decoded. Embedded ICC profiles are ignored: classifiers
are trained on pixels as they are stored.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError, WebPImagePlugin

from schemas.errors import CallerError, InvalidImage, UnsupportedImage
from service.core.engine.pool import SlowWork
from service.core.imaging.formats import bmp, gif, heif, jpeg, jpeg_cut, png, tiff
from service.core.imaging.formats.signatures import sniff
from service.core.imaging.formats.source import Convert, Source
from service.core.imaging.image_limits import ImageLimits, is_large
from service.core.imaging.orientation import Box, exif_orientation, stored_box
from service.core.imaging.resizing import REDUCING_GAP

# Imported for their side effect: Image.open would otherwise import every plugin to find them.
_ = WebPImagePlugin
# We check our own limit; Pillow would warn about sizes that it may allow.
Image.MAX_IMAGE_PIXELS = None

PREPARE: dict[str, Callable[[bytes], Source]] = {
    "JPEG": jpeg.prepare,
    "PNG": png.prepare,
    "GIF": gif.prepare,
    "BMP": bmp.prepare,
}
# libwebp's animation decoder needs three copies of the image.
WEBP_BYTES = 16
CUT_PIXELS = 2**22
"""Truncated JPEGs with more pixels belong on the slow lane."""
STRIP_PIXELS = 2**20
WIDEST_FILTER = 3
"""Radius of the Lanczos filter in pixels, at the coarser of the two scales."""

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


@dataclass(slots=True)
class OpenImage:
    """An image whose header was read. ``width`` and ``height`` are as seen upright.

    is_truncated: whether the end of the file was missing; known once the pixels are decoded.
    """

    file: ImageFile.ImageFile
    format: str
    orientation: int
    width: int
    height: int
    source: Source
    may_be_slow: bool
    is_truncated: bool = False

    @property
    def is_turned(self) -> bool:
        """Whether the stored rows are the upright image's columns (EXIF 5 to 8)."""
        return self.orientation >= 5


@contextmanager
def open_image(
    data: bytes, limits: ImageLimits, *, may_be_slow: bool = True
) -> Iterator[OpenImage]:
    """Read the header of an encoded image; ``region`` decodes the pixels.

    Raises:
        UnsupportedImage: the format, or this kind of it, is not supported.
        InvalidImage: damaged or truncated; also raised while the image is in use.
        ImageTooLarge: more pixels or frames than allowed.
        SlowWork: the image is large and ``may_be_slow`` is false.
    """
    name = sniff(data)
    try:
        source = _prepared(data, name, limits)
        with _opened(source, name) as file:
            limits.check_size(*file.size, source.pixel_bytes)
            # GIF and TIFF have their frame count only at the end; only the first frame is read.
            counted = getattr(file, "n_frames", 1) if name in {"WEBP", "AVIF"} else source.frames
            limits.check_frames(counted)
            if name == "JPEG" and not source.has_one_scan:
                limits.check_scans(source.data, *file.size)
            is_slow = source.is_slow or is_large(*file.size, source.pixel_bytes)
            if is_slow and not may_be_slow:
                raise SlowWork
            orientation = _orientation(source, file, name)
            width, height = file.size[::-1] if orientation >= 5 else file.size
            yield OpenImage(file, name, orientation, width, height, source, may_be_slow)
    except (CallerError, SlowWork):
        raise
    except Exception as error:
        # Pillow's decoders may raise any exception on damaged input.
        raise InvalidImage from error


def _orientation(source: Source, file: ImageFile.ImageFile, name: str) -> int:
    """Return the EXIF orientation, unless the decoder turns the image upright."""
    if name in {"TIFF", "HEIC"}:
        return 1
    return exif_orientation(source.exif or file.info.get("exif") or b"")


def _prepared(data: bytes, name: str, limits: ImageLimits) -> Source:
    """Return the bytes and metadata that Pillow's parser gets."""
    if name == "TIFF":
        return tiff.prepare(data, limits)
    if name == "WEBP":
        return Source(data, pixel_bytes=WEBP_BYTES)
    if name in heif.NAMES:
        return heif.prepare(data, name)
    return PREPARE[name](data)


def _opened(source: Source, name: str) -> ImageFile.ImageFile:
    """Parse the header.

    Raises:
        UnsupportedImage: a valid image of a kind that Pillow does not support.
    """
    if name == "JPEG":  # as Image.open does, which takes longer to get there
        file = JpegImagePlugin.JpegImageFile(io.BytesIO(source.data))
        # One read without a copy, and one call of the decoder, instead of one for each 64 KiB.
        file.decodermaxblock = len(source.data)
        return file
    try:
        return Image.open(io.BytesIO(source.data), formats=(heif.PLUGINS.get(name, name),))
    except UnidentifiedImageError as error:
        if name == "TIFF":  # the directory was checked
            message = "TIFF with samples of this kind is not supported."
            raise UnsupportedImage(message) from error
        raise
    except OSError as error:
        if name == "BMP":  # Pillow's error for unsupported compressions and depths
            raise UnsupportedImage("BMP of this kind is not supported.") from error
        raise


def region(image: OpenImage, box: Box, mode: str, scaled_to: tuple[float, float]) -> Region:
    """Decode the part of the image that ``box`` needs, as RGB or grey.

    Args:
        box: in pixels of the upright image.
        mode: ``RGB`` or ``L``.
        scaled_to: width and height that the whole upright image will be scaled to; a larger JPEG
            is decoded at 1/2, 1/4 or 1/8 of its size (DCT scaling), but at no less than twice that.

    Returns:
        An image in ``mode``, as stored (not turned upright), and the position of the box in it.
    """
    file = image.file
    stored = stored_box(box, image.width, image.height, image.orientation)
    width, height = file.size
    across, down = scaled_to[::-1] if image.is_turned else scaled_to
    # Decoded smaller, the pixels would be a few grey levels off: measured on photos, the mean error
    # is 2.5 levels at the target size and 0.13 at twice that size.
    if image.format == "JPEG":
        wanted = math.ceil(2 * across), math.ceil(2 * down)
        drafted = file.draft(mode, wanted)
        if drafted:
            _, _, scaled_width, scaled_height = drafted[1]
            sx, sy = scaled_width / width, scaled_height / height
            stored = (stored[0] * sx, stored[1] * sy, stored[2] * sx, stored[3] * sy)
        try:
            file.load()
            image.is_truncated = not jpeg_cut.has_end(image.source.data)
        except OSError:
            file = _completed(image, mode, wanted)
    else:
        bmp.expand_runs(file, image.source.data)
        file.load()
    convert = image.source.after_load(file) if image.source.after_load else None
    if convert is None and file.mode == mode and "transparency" not in file.info:
        return Region(file, stored)
    # Convert only the needed pixels, with a margin for the resampling filter.
    shrink = max(file.width / across, file.height / down, 1)
    outer = _outer(stored, file.size, WIDEST_FILTER * shrink + 1)
    factor = max(1, int(shrink / REDUCING_GAP))
    left, upper = outer[:2]
    inner = (
        (stored[0] - left) / factor,
        (stored[1] - upper) / factor,
        (stored[2] - left) / factor,
        (stored[3] - upper) / factor,
    )
    return Region(_converted(file, outer, mode, factor, convert), inner)


def _completed(image: OpenImage, mode: str, wanted: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode a truncated JPEG.

    Raises:
        InvalidImage: too much is missing.
        SlowWork: the image is large, and must be decoded several times.
    """
    broken = cast("JpegImagePlugin.JpegImageFile", image.file)
    if not image.may_be_slow and image.width * image.height > CUT_PIXELS:
        raise SlowWork
    data = jpeg_cut.completed(image.source.data, broken.layer)
    file = Image.open(io.BytesIO(data), formats=("JPEG",))
    file.draft(mode, wanted)
    file.load()
    image.is_truncated = True
    return file


@dataclass(frozen=True, slots=True)
class Region:
    """Decoded pixels and the box of interest in them."""

    pixels: Image.Image
    box: Box


def _outer(box: Box, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """Return the box of whole pixels around a box, with a margin."""
    return (
        max(0, int(box[0] - margin)),
        max(0, int(box[1] - margin)),
        min(size[0], int(box[2] + margin) + 1),
        min(size[1], int(box[3] + margin) + 1),
    )


def _converted(
    image: Image.Image,
    outer: tuple[int, int, int, int],
    mode: str,
    factor: int,
    convert: Convert | None,
) -> Image.Image:
    """Return a part of an image as RGB or grey, averaged down by ``factor``.

    It works in strips: a conversion takes as much memory as its input.
    """
    left, upper, right, lower = outer
    whole = Image.new(mode, (-(-(right - left) // factor), -(-(lower - upper) // factor)))
    rows = max(1, STRIP_PIXELS // (right - left) // factor) * factor
    for top in range(upper, lower, rows):
        strip = image.crop((left, top, right, min(top + rows, lower)))
        strip.info = image.info
        if convert is not None:
            strip = convert(strip, (left, top))
        strip = _in_mode(strip, mode)
        whole.paste(strip.reduce(factor) if factor > 1 else strip, (0, (top - upper) // factor))
    return whole


def _in_mode(strip: Image.Image, mode: str) -> Image.Image:
    """Convert any mode to RGB or grey: scale 16 bits, put transparency on white."""
    if strip.mode in _SIXTEEN_BIT:
        # Pillow's own conversion clips: everything above 255 would turn white.
        strip = Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
    elif strip.mode in {"I", "F"}:
        raise UnsupportedImage("Images of 32 bits a sample are not supported.")
    if strip.mode in _WITH_ALPHA or "transparency" in strip.info:
        layer = strip.convert("RGBA")
        strip = Image.new("RGBA", layer.size, "white")
        strip.alpha_composite(layer)
    if strip.mode not in {"1", "L", "P", "RGB", "RGBA"}:
        strip = strip.convert("RGB")  # Pillow cannot convert LAB to grey directly
    return strip if strip.mode == mode else strip.convert(mode)
