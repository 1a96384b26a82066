"""Drawn photos of two classes that the features of ``everyday`` tell apart."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "stripes")
SIDE = 128


def drawn(label: str, number: int) -> bytes:
    """Draw a photo of a class; each number gives another one. PNG."""
    dice = np.random.default_rng(number + 1000 * CLASSES.index(label))
    noise = dice.integers(150, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    colour = tuple(int(level) for level in dice.integers(0, 110, 3))
    if label == "disc":
        x, y = (int(place) for place in dice.integers(40, 88, 2))
        size = int(dice.integers(18, 36))
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    else:
        pitch = int(dice.integers(10, 20))
        for x in range(int(dice.integers(0, pitch)), SIDE, pitch):
            pen.line((x, 0, x, SIDE), fill=colour, width=4)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
