"""The EXIF orientation of an image, and its effect on boxes and pixels.

XMP has an orientation too; browsers ignore it, and programs that rotate pixels do not update it.
"""

from __future__ import annotations

import struct

from PIL import Image

Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels."""

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
_TAG = 0x0112
_FORMATS = {1: "B", 3: "H", 4: "I"}
"""Formats of an orientation by the type of its field: BYTE, SHORT and LONG."""


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that EXIF metadata has in its first directory.

    1 if it is missing or damaged: the pixels may still be valid.

    Args:
        exif: a TIFF header and its data (TIFF 6.0), optionally after ``Exif`` and two zeros.
    """
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for position in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, position)
            if tag == _TAG:
                (value,) = struct.unpack_from(order + _FORMATS.get(kind, "H"), exif, position + 8)
                return value if value in UPRIGHT else 1
    except struct.error:
        return 1
    return 1


def stored_box(  # noqa: PLR0911 - a table of eight
    upright: Box, width: float, height: float, orientation: int
) -> Box:
    """Convert a box of the upright image, ``width`` x ``height``, to stored pixels.

    TIFF 6.0, tag 274.
    """
    left, upper, right, lower = upright
    match orientation:
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
