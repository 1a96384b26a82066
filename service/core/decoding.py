"""Encoded bytes to pixels: six formats, limits checked on the header, nothing else opened.

Pillow's plugins are named one by one, so that a file can never reach EPS, PSD, FITS or whatever
else is installed. The first frame of an animation and the first page of a TIFF are taken.
Embedded ICC profiles are ignored: classifiers are trained on pixels as they are stored.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin

from schemas.errors import CallerError, ImageTooLarge, InvalidImage, UnsupportedImage

Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels."""

# Imported for their side effect: Image.open would otherwise import every plugin to find them.
_ = (TiffImagePlugin, WebPImagePlugin)

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
# Pillow keeps 4 bytes a pixel; libwebp's animation decoder needs three more copies of the canvas.
DECODE_BYTES = {"WEBP": 16}
LARGE_BYTES = 64 * 2**20
STRIP_PIXELS = 2**20
MAX_SCANS = 100
SCANNED_SHARE = 20
CHEAP_BYTES = 128 * 2**10
MAX_READS = 10_000
# From this shrink on whole blocks of pixels are averaged first; Pillow's documentation calls 3
# "visually indistinguishable from fair resampling". It makes large images several times cheaper.
REDUCING_GAP = 3.0
WIDEST_FILTER = 3
"""Pixels that Lanczos looks to either side, at the coarser of the two scales."""

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before any pixel is decoded; shared by all models of a process.

    ``large``: held while an image of more than ``LARGE_BYTES`` is decoded, so that memory is not
    taken several times over.
    """

    max_pixels: int
    max_frames: int
    max_decode_bytes: int
    large: threading.Lock = field(default_factory=threading.Lock)


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
        """Where a box of the upright image lies among the stored pixels (TIFF 6.0, tag 274)."""
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


# What turns stored pixels upright, by EXIF orientation.
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
    """The format that the first bytes announce.

    Raises:
        UnsupportedImage: if it is not one of the six, whatever the file is called.
    """
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedImage


@contextmanager
def open_image(data: bytes, limits: ImageLimits) -> Iterator[OpenImage]:
    """Reads the header of an encoded image; the pixels are decoded by ``region``.

    Raises:
        UnsupportedImage: no format of ours.
        InvalidImage: damaged or truncated, here or later while the image is in use.
        ImageTooLarge: more pixels or frames than allowed.
    """
    name = sniff(data)
    try:
        with Image.open(_reader(data), formats=(name,)) as file:
            width, height = file.size
            _check_size(name, width, height, limits)
            _check_scans(file, data, limits)
            # GIF and TIFF say their number of frames only at the end; only the first is read.
            if name in {"PNG", "WEBP"} and getattr(file, "n_frames", 1) > limits.max_frames:
                message = f"The image has more than {limits.max_frames} frames."
                raise ImageTooLarge(message)
            orientation = _orientation(file)
            if orientation >= 5:
                width, height = height, width
            is_large = name != "JPEG" and width * height * DECODE_BYTES.get(name, 4) > LARGE_BYTES
            with limits.large if is_large else nullcontext():
                yield OpenImage(file, name, orientation, width, height)
    except CallerError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:
        # Pillow's decoders raise whatever their input makes them raise.
        raise InvalidImage from error


def region(image: OpenImage, box: Box, mode: str, scaled_to: tuple[float, float]) -> Region:
    """Decodes and gives the part of the image that ``box`` needs, as RGB or grey.

    Args:
        box: in pixels of the upright image.
        mode: ``RGB`` or ``L``.
        scaled_to: width and height that the whole upright image will be scaled to; a JPEG of at
            least twice that is decoded at a fraction of its size (DCT scaling).

    Returns:
        An image in ``mode``, still as stored (not upright), and where in it the box lies.
    """
    file, stored = image.file, image.stored_box(box)
    width, height = file.size
    across, down = scaled_to[::-1] if image.is_turned else scaled_to
    # Draft modes change pixels slightly even at full size, so only where they save real work.
    if image.format == "JPEG" and min(width / across, height / down) >= 2:
        drafted = file.draft(mode, (int(np.ceil(across)), int(np.ceil(down))))
        if drafted:
            _, _, scaled_width, scaled_height = drafted[1]
            sx, sy = scaled_width / width, scaled_height / height
            stored = (stored[0] * sx, stored[1] * sy, stored[2] * sx, stored[3] * sy)
    file.load()
    if file.mode == mode and "transparency" not in file.info:
        return Region(file, stored)
    # Only what is needed is converted: with a margin for the resampling filter.
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


def _check_size(name: str, width: int, height: int, limits: ImageLimits) -> None:
    pixels = min(limits.max_pixels, limits.max_decode_bytes // DECODE_BYTES.get(name, 4))
    if width * height > pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; "
            f"up to {pixels / 1e6:.3g} megapixels are taken."
        )


def _check_scans(file: ImageFile.ImageFile, data: bytes, limits: ImageLimits) -> None:
    """Refuses JPEGs of many scans: 75 bytes of an upload can cost a pass over all pixels."""
    if file.format in {"JPEG", "MPO"}:
        scans = data.count(b"\xff\xda")  # entropy-coded data never holds a marker
        pixels = file.width * file.height
        if scans > MAX_SCANS or scans * pixels > SCANNED_SHARE * limits.max_pixels:
            raise ImageTooLarge("The image has too many scans.")
    elif file.info.get("compression") in {"jpeg", "tiff_jpeg"} and b"\xff\xc2" in data:
        raise UnsupportedImage("Progressive JPEG inside TIFF is not supported.")


def _reader(data: bytes) -> io.BytesIO:
    return io.BytesIO(data) if len(data) <= CHEAP_BYTES else _BoundedReader(data)


class _BoundedReader(io.BytesIO):
    """Ends a file of a million empty segments: Pillow walks through them in Python."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = MAX_READS + len(data) // 1024

    def read(self, size: int | None = -1) -> bytes:
        """As ``BytesIO``, so many times."""
        self._reads_left -= 1
        if self._reads_left < 0:
            raise InvalidImage("The image file has too many segments.")
        return super().read(size)


def _outer(box: Box, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """The whole pixels around a box."""
    return (
        max(0, int(box[0] - margin)),
        max(0, int(box[1] - margin)),
        min(size[0], int(box[2] + margin) + 1),
        min(size[1], int(box[3] + margin) + 1),
    )


def _converted(
    image: Image.Image, outer: tuple[int, int, int, int], mode: str, factor: int
) -> Image.Image:
    """A part of an image as RGB or grey, made ``factor`` times smaller by averaging.

    It is done in strips: a conversion takes as much memory as what it converts.
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
    """Any mode to RGB or grey: 16 bits scaled, transparency on white."""
    if strip.mode in _SIXTEEN_BIT:
        # Pillow's own conversion clips: everything above 255 would turn white.
        strip = Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
    elif strip.mode in {"I", "F"}:
        raise UnsupportedImage("Images of 32 bits a sample are not supported.")
    if strip.mode in _WITH_ALPHA or "transparency" in strip.info:
        layer = strip.convert("RGBA")
        strip = Image.new("RGBA", layer.size, "white")
        strip.alpha_composite(layer)
    return strip if strip.mode == mode else strip.convert(mode)


def _orientation(file: ImageFile.ImageFile) -> int:
    """EXIF orientation 1 to 8; 1 where there is none or it is damaged."""
    if file.format == "TIFF" or "exif" not in file.info:
        return 1  # Pillow turns TIFF pages upright by itself.
    try:
        value = file.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged metadata does not spoil good pixels
        return 1
    return value if value in UPRIGHT else 1
