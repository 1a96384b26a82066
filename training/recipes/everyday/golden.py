"""Golden samples: pictures drawn by this file, which may be shipped with the model."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw

SIDE = 256
_SCALE = 4  # drawn larger and averaged, for smooth edges


def pictures() -> dict[str, bytes]:
    """File name to PNG bytes."""
    drawn = {"yin-yang.png": yin_yang(), "stop-sign.png": stop_sign(), "umbrella.png": umbrella()}
    return {name: _png(image) for name, image in drawn.items()}


def yin_yang() -> Image.Image:
    """The symbol, black on white."""
    image, draw, unit = _canvas("white")
    centre, radius = 0.5, 0.44
    _disc(draw, unit, centre, centre, radius, "black")
    _disc(draw, unit, centre, centre, radius - 0.008, "white")
    low, high = (centre - radius) * unit, (centre + radius) * unit
    draw.pieslice([low, low, high, high], 90, 270, "black")
    for y, outer, inner in (
        (centre - radius / 2, "black", "white"),
        (centre + radius / 2, "white", "black"),
    ):
        _disc(draw, unit, centre, y, radius / 2, outer)
        _disc(draw, unit, centre, y, radius / 8, inner)
    return image


def stop_sign() -> Image.Image:
    """A red octagon with a white rim on a pole, before a sky."""
    image, draw, unit = _canvas((150, 190, 225))
    draw.rectangle([0, 0.85 * unit, unit, unit], (96, 130, 70))
    draw.rectangle([0.48 * unit, 0.5 * unit, 0.52 * unit, unit], (120, 120, 120))
    for radius, colour in ((0.40, (250, 250, 250)), (0.375, (190, 20, 30))):
        corners = [
            (
                (0.5 + radius * math.cos(math.pi / 8 + k * math.pi / 4)) * unit,
                (0.44 + radius * math.sin(math.pi / 8 + k * math.pi / 4)) * unit,
            )
            for k in range(8)
        ]
        draw.polygon(corners, colour)
    _letters(draw, unit)
    return image


def umbrella() -> Image.Image:
    """An open umbrella from the side."""
    image, draw, unit = _canvas("white")
    draw.pieslice([0.08 * unit, 0.12 * unit, 0.92 * unit, 0.96 * unit], 180, 360, (200, 30, 40))
    for k in range(4):
        left = 0.08 + 0.21 * k
        draw.ellipse([left * unit, 0.49 * unit, (left + 0.21) * unit, 0.60 * unit], "white")
    draw.rectangle([0.49 * unit, 0.06 * unit, 0.51 * unit, 0.86 * unit], (60, 40, 30))
    draw.arc(
        [0.49 * unit, 0.78 * unit, 0.62 * unit, 0.94 * unit], 0, 180, (60, 40, 30), int(0.02 * unit)
    )
    return image


def _canvas(colour: str | tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    unit = SIDE * _SCALE
    image = Image.new("RGB", (unit, unit), colour)
    return image, ImageDraw.Draw(image), unit


def _disc(
    draw: ImageDraw.ImageDraw, unit: int, x: float, y: float, radius: float, colour: str
) -> None:
    corners = ((x - radius) * unit, (y - radius) * unit, (x + radius) * unit, (y + radius) * unit)
    draw.ellipse(corners, colour)


def _letters(draw: ImageDraw.ImageDraw, unit: int) -> None:
    """S T O P in strokes, since fonts differ between machines."""
    strokes: dict[str, list[list[tuple[float, float]]]] = {
        "S": [[(1, 0), (0, 0), (0, 1), (1, 1), (1, 2), (0, 2)]],
        "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 2)]],
        "O": [[(0, 0), (1, 0), (1, 2), (0, 2), (0, 0)]],
        "P": [[(0, 2), (0, 0), (1, 0), (1, 1), (0, 1)]],
    }
    for number, letter in enumerate("STOP"):
        left, top = 0.21 + 0.155 * number, 0.34
        for line in strokes[letter]:
            points = [((left + 0.11 * x) * unit, (top + 0.1 * y) * unit) for x, y in line]
            draw.line(points, "white", int(0.028 * unit), joint="curve")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.resize((SIDE, SIDE), Image.Resampling.BOX).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
