"""Draws scenes for INT8 calibration: shapes in strong colours, a little blur, a little noise.

Their edges, flat areas and noise cover the same activation ranges as photos do: calibrated on
either, the INT8 model gives the same answers.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 320
COUNT = 100


def scenes(count: int = COUNT) -> list[bytes]:
    """Draw scenes as PNG files; deterministic."""
    return [_encoded(_scene(random.Random(seed))) for seed in range(count)]  # noqa: S311 - pictures


def _scene(dice: random.Random) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), _colour(dice))
    pen = ImageDraw.Draw(picture)
    for _ in range(dice.randint(3, 25)):
        left, top, size = dice.randint(-40, SIDE), dice.randint(-40, SIDE), dice.randint(8, 160)
        box = (left, top, left + size, top + round(size * dice.uniform(0.4, 1.6)))
        points = [(dice.randint(0, SIDE), dice.randint(0, SIDE)) for _ in range(dice.randint(3, 6))]
        match dice.randint(0, 3):
            case 0:
                pen.ellipse(box, fill=_colour(dice))
            case 1:
                pen.rectangle(box, fill=_colour(dice))
            case 2:
                pen.polygon(points, fill=_colour(dice))
            case _:
                pen.line(points, fill=_colour(dice), width=dice.randint(1, 12))
    soft = picture.filter(ImageFilter.GaussianBlur(dice.uniform(0, 3)))
    generator = np.random.default_rng(dice.getrandbits(32))
    pixels = np.asarray(soft)
    noisy = pixels + generator.normal(0, dice.uniform(0, 18), pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randint(0, 255), dice.randint(0, 255), dice.randint(0, 255)


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
