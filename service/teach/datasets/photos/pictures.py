"""Small copies of a photo, upright."""

from __future__ import annotations

import io

from PIL import Image

from service.core.imaging.decoding import OpenImage, open_image, region
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.orientation import UPRIGHT

QUALITY = 80


def preview(image: bytes, limits: ImageLimits, side: int, *, may_be_slow: bool = True) -> bytes:
    """Return a photo as a small JPEG without metadata.

    Args:
        side: the longest one, in pixels; a smaller photo keeps its size.

    Raises:
        UnsupportedImage, InvalidImage, ImageTooLarge: see ``open_image``.
        SlowWork: the photo is large and ``may_be_slow`` is false.
    """
    with open_image(image, limits, may_be_slow=may_be_slow) as opened:
        scale = min(1.0, side / max(opened.width, opened.height))
        size = max(1, round(opened.width * scale)), max(1, round(opened.height * scale))
        encoded = io.BytesIO()
        scaled(opened, "RGB", size).save(encoded, "JPEG", quality=QUALITY)
        return encoded.getvalue()


def scaled(opened: OpenImage, mode: str, size: tuple[int, int]) -> Image.Image:
    """Return the whole photo, upright; ``mode``: RGB or L; ``size``: width and height."""
    whole = (0.0, 0.0, float(opened.width), float(opened.height))
    found = region(opened, whole, mode, size)
    left, upper, right, lower = found.box
    pixels = found.pixels
    box = (
        max(0.0, left),
        max(0.0, upper),
        min(right, float(pixels.width)),
        min(lower, float(pixels.height)),
    )
    stored = size[::-1] if opened.is_turned else size
    small = pixels.resize(stored, Image.Resampling.BOX, box)
    turn = UPRIGHT.get(opened.orientation)
    return small if turn is None else small.transpose(turn)
