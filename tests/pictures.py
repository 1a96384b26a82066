"""Pictures that the tests draw themselves."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:  # noqa: A002 - Pillow's word
    """An image as a file of the format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def plain(
    colour: tuple[int, ...] = RED,
    size: tuple[int, int] = (64, 48),
    format: str = "PNG",  # noqa: A002
) -> bytes:
    """One colour all over, as a file of the format."""
    return encoded(Image.new("RGB", size, colour), format)


def gradient(size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Smooth and different everywhere, so that a wrong crop, turn or channel order shows."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([across, down, 255 - across], 2).astype(np.uint8))
