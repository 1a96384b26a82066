"""Parts and copies of a frame; every function decodes within the limits of uploads.

A part is encoded again only if the camera has a crop; without one the model gets the frame as the
camera sent it, as it would get an upload.
"""

from __future__ import annotations

import io
import time
from typing import NamedTuple

from PIL import Image

from schemas.cameras import Crop
from service.cameras.pipeline.motion import GREY_SIZE
from service.core.imaging.decoding import OpenImage, open_image, region
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.orientation import UPRIGHT

PART_SIDE = 1280
"""Longest side of a part that is classified, in pixels; models take at most a few hundred."""
PREVIEW_SIDE = 640
PART_QUALITY, PREVIEW_QUALITY = 95, 80


class Prepared(NamedTuple):
    """The encoded part of a frame to classify, and its grey copy to compare.

    Attributes:
        image: encoded.
        grey: copy of ``GREY_SIZE``, a byte a pixel; None without motion gate.
        seconds: of this thread, that the preparation took.
    """

    image: bytes
    grey: bytes | None
    seconds: float


def prepare(frame: bytes, crop: Crop | None, limits: ImageLimits, *, has_gate: bool) -> Prepared:
    """Cut the part out of a frame, and make its grey copy.

    Raises:
        UnsupportedImage, InvalidImage, ImageTooLarge: see ``open_image``.
    """
    began = time.thread_time()
    grey = None
    if has_gate:
        with open_image(frame, limits) as opened:
            grey = _scaled(opened, crop, "L", GREY_SIZE).tobytes()
    image = frame if crop is None else jpeg(frame, limits, crop, PART_SIDE, PART_QUALITY)
    return Prepared(image, grey, time.thread_time() - began)


def preview(frame: bytes, limits: ImageLimits, side: int = PREVIEW_SIDE) -> bytes:
    """Return the whole frame as a small JPEG without metadata; ``side``: the longest, in pixels.

    Raises:
        UnsupportedImage, InvalidImage, ImageTooLarge: see ``open_image``.
    """
    return jpeg(frame, limits, None, side, PREVIEW_QUALITY)


def jpeg(frame: bytes, limits: ImageLimits, crop: Crop | None, side: int, quality: int) -> bytes:
    """Return a part of a frame, upright, no larger than ``side``.

    Raises:
        UnsupportedImage, InvalidImage, ImageTooLarge: see ``open_image``.
    """
    with open_image(frame, limits) as opened:
        part = crop or Crop()
        width, height = part.width * opened.width, part.height * opened.height
        scale = min(1.0, side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = _scaled(opened, crop, "RGB", size)
        encoded = io.BytesIO()
        pixels.save(encoded, "JPEG", quality=quality)
        return encoded.getvalue()


def _scaled(opened: OpenImage, crop: Crop | None, mode: str, size: tuple[int, int]) -> Image.Image:
    """Return the part of an image, upright, in a mode and of a size."""
    part = crop or Crop()
    width, height = opened.width, opened.height
    box = (
        part.x * width,
        part.y * height,
        min(1.0, part.x + part.width) * width,
        min(1.0, part.y + part.height) * height,
    )
    whole = size[0] / part.width, size[1] / part.height
    found = region(opened, box, mode, whole)
    stored = size[::-1] if opened.is_turned else size
    left, upper, right, lower = found.box
    inside = (
        min(max(0.0, left), found.pixels.width - 1.0),
        min(max(0.0, upper), found.pixels.height - 1.0),
        min(right, float(found.pixels.width)),
        min(lower, float(found.pixels.height)),
    )
    scaled = found.pixels.resize(
        stored, Image.Resampling.BOX if mode == "L" else Image.Resampling.BILINEAR, inside
    )
    turn = UPRIGHT.get(opened.orientation)
    return scaled if turn is None else scaled.transpose(turn)
