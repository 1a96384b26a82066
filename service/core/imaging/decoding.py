"""Decoding of images in six formats, with limits that are checked on the header.

Pillow's plugins are named one by one, so that a file can never reach EPS, PSD, FITS or any other
plugin. The first frame of an animation and the first page of a TIFF are decoded. Embedded ICC
profiles are ignored: classifiers are trained on pixels as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin

from schemas.errors import CallerError, InvalidImage, UnsupportedImage
from service.core.engine.pool import SlowWork
from service.core.imaging.image_limits import ImageLimits, bounded_reader, is_large

Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels."""

# Imported for their side effect: Image.open would otherwise import every plugin to find them.
_ = (TiffImagePlugin, WebPImagePlugin)
# We check our own limit; Pillow would warn about sizes that it may allow.
Image.MAX_IMAGE_PIXELS = None

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
EXIF_ORIENTATION = 0x0112
STRIP_PIXELS = 2**20
# From this shrink factor on, blocks of pixels are averaged first; Pillow's documentation calls 3
# "visually indistinguishable from fair resampling". It makes large images several times cheaper.
REDUCING_GAP = 3.0
WIDEST_FILTER = 3
"""Radius of the Lanczos filter in pixels, at the coarser of the two scales."""

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


@dataclass(slots=True)
class OpenImage:
    """An image whose header was read. ``width`` and ``height`` are as seen upright."""

    file: ImageFile.ImageFile
    format: str
    orientation: int
    width: int
    height: int

    @property
    def is_turned(self) -> bool:
        """Whether the stored rows are the upright image's columns (EXIF 5 to 8)."""
        return self.orientation >= 5

    def stored_box(self, upright: Box) -> Box:  # noqa: PLR0911 - a table of eight
        """Convert a box of the upright image to stored pixels (TIFF 6.0, tag 274)."""
        left, upper, right, lower = upright
        width, height = self.width, self.height
        match self.orientation:
            case 2:
                return width - right, upper, width - left, lower
            case 3:
                return width - right, height - lower, width - left, height - upper
            case 4:
                return left, height - lower, right, height - upper
            case 5:
                return upper, left, lower, right
            case 6:
                return upper, width - right, lower, width - left
            case 7:
                return height - lower, width - right, height - upper, width - left
            case 8:
                return height - lower, left, height - upper, right
            case _:
                return upright


# The operation that turns stored pixels upright, by EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def sniff(data: bytes) -> str:
    """Return the image format by its signature, the first bytes.

    Raises:
        UnsupportedImage: if it is not one of the six; file names are not considered.
    """
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedImage


@contextmanager
def open_image(
    data: bytes, limits: ImageLimits, *, may_be_slow: bool = True
) -> Iterator[OpenImage]:
    """Read the header of an encoded image; ``region`` decodes the pixels.

    Raises:
        UnsupportedImage: the format is not supported.
        InvalidImage: damaged or truncated; also raised while the image is in use.
        ImageTooLarge: more pixels or frames than allowed.
        SlowWork: the image is large and ``may_be_slow`` is false.
    """
    name = sniff(data)
    try:
        with Image.open(bounded_reader(data), formats=(name,)) as file:
            limits.check(file, name, data)
            if not may_be_slow and is_large(file, name):
                raise SlowWork
            if name == "PNG" and b"eXIf" in data:
                file.load()  # the EXIF chunk may follow the pixels
            orientation = _orientation(file)
            width, height = file.size[::-1] if orientation >= 5 else file.size
            yield OpenImage(file, name, orientation, width, height)
    except (CallerError, SlowWork):
        raise
    except Exception as error:
        # Pillow's decoders may raise any exception on damaged input.
        raise InvalidImage from error


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
    file, stored = image.file, image.stored_box(box)
    width, height = file.size
    across, down = scaled_to[::-1] if image.is_turned else scaled_to
    # Decoded smaller, the pixels would be a few grey levels off: measured on photos, the mean error
    # is 2.5 levels at the target size and 0.13 at twice that size.
    if image.format == "JPEG":
        drafted = file.draft(mode, (math.ceil(2 * across), math.ceil(2 * down)))
        if drafted:
            _, _, scaled_width, scaled_height = drafted[1]
            sx, sy = scaled_width / width, scaled_height / height
            stored = (stored[0] * sx, stored[1] * sy, stored[2] * sx, stored[3] * sy)
    file.load()
    if file.mode == mode and "transparency" not in file.info:
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
    return Region(_converted(file, outer, mode, factor), inner)


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
    image: Image.Image, outer: tuple[int, int, int, int], mode: str, factor: int
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


def _orientation(file: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    if file.format == "TIFF" or "exif" not in file.info:
        return 1  # Pillow turns TIFF pages upright by itself.
    try:
        value = file.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged metadata is ignored if the pixels are good
        return 1
    return value if value in UPRIGHT else 1
