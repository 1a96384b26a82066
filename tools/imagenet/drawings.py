"""Draws pictures of nothing recognisable, which a classifier should not name.

Each kind is drawn in one of two manners, so that thresholds can be fitted on one and judged on the
other. All drawings are deterministic.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

ErrorFormat = Literal["fit", "judge"]
Colour = tuple[int, int, int]
Drawer = Callable[[random.Random, ErrorFormat], Image.Image]

WORDS = (
    *("the", "of", "and", "a", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on"),
    *("are", "as", "with", "his", "they", "at", "be", "this", "have", "from", "or", "one", "had"),
    *("by", "word", "but", "not", "what", "all", "were", "we", "when", "your", "can", "said"),
)


def draw(manner: ErrorFormat, each: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield ``each`` pictures of every kind as (kind, RGB picture)."""
    for kind, drawer in KINDS.items():
        for number in range(each):
            yield kind, drawer(random.Random(f"{manner} {kind} {number}"), manner)


def blank(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw one colour, as of a lens cap or a wall; with sensor noise when judging."""
    width, height = _size(dice)
    picture = Image.new("RGB", (width, height), _colour(dice))
    if manner == "judge":
        picture = _plus_noise(picture, dice, dice.uniform(1, 8))
    return picture


def gradient(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw a gradient of two colours: linear, or radial when judging."""
    width, height = _size(dice)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if manner == "fit":
        angle = dice.uniform(0, 2 * np.pi)
        way = x * np.cos(angle) + y * np.sin(angle)
    else:
        way = np.hypot(x - dice.uniform(0, width), y - dice.uniform(0, height))
    share = ((way - way.min()) / np.ptp(way))[:, :, None]
    first, second = (np.array(_colour(dice), np.float32) for _ in range(2))
    return _picture(first * (1 - share) + second * share)


def noise(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw independent pixels; coarser grains when judging."""
    width, height = _size(dice)
    generator = np.random.default_rng(dice.getrandbits(32))
    grain = 1 if manner == "fit" else dice.randint(2, 12)
    channels = dice.choice([1, 3])
    small = (height // grain + 1, width // grain + 1, channels)
    if dice.random() < 0.5:
        pixels = generator.uniform(0, 256, small)
    else:
        pixels = generator.normal(dice.uniform(60, 190), dice.uniform(10, 70), small)
    pixels = np.repeat(pixels, 3 // channels, axis=2)
    return _picture(np.kron(pixels, np.ones((grain, grain, 1)))[:height, :width])


def blur(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw coloured patches out of focus."""
    width, height = _size(dice)
    picture = Image.new("RGB", (width, height), _colour(dice))
    pen = ImageDraw.Draw(picture)
    for _ in range(dice.randint(2, 10)):
        box = _box(dice, width, height)
        if manner == "fit":
            pen.ellipse(box, fill=_colour(dice))
        else:
            pen.polygon([_point(dice, width, height) for _ in range(4)], fill=_colour(dice))
    return picture.filter(ImageFilter.GaussianBlur(dice.uniform(15, 50)))


def pattern(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw stripes, checks and dots; waves, triangles and bricks when judging."""
    width, height = _size(dice)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    period, angle = dice.uniform(4, 60), dice.uniform(0, np.pi)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    kind = dice.randint(0, 2)
    if manner == "fit":
        inside = np.hypot(u % period - period / 2, v % period - period / 2) < period / 3
        share = (inside.astype(np.float32), u // period % 2, (u // period + v // period) % 2)[kind]
    else:
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * (u / period + np.sin(v / period / 2) / 3))
        triangle = ((u % period) > (v % period)).astype(np.float32)
        shifted = u + (v // period % 2) * period / 2
        brick = ((shifted % period > 2) & (v % period > 2)).astype(np.float32)
        share = (wave, triangle, brick)[kind]
    first, second = (np.array(_colour(dice), np.float32) for _ in range(2))
    return _picture(first * (1 - share[:, :, None]) + second * share[:, :, None])


def document(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw a page of text; two columns, a table or a form when judging."""
    width, height = dice.choice([(480, 640), (640, 480), (500, 700)])
    paper = tuple(dice.randint(235, 255) for _ in range(3))
    picture = Image.new("RGB", (width, height), paper)
    pen, size = ImageDraw.Draw(picture), dice.randint(9, 18)
    if manner == "fit":
        _text(pen, dice, (40, 40, width - 40, height - 40), size)
        return picture
    form = dice.choice(["columns", "table", "form"])
    if form == "columns":
        middle = width // 2
        _text(pen, dice, (20, 50, middle - 10, height - 30), size)
        _text(pen, dice, (middle + 10, 50, width - 20, height - 30), size)
    else:
        step = size + dice.randint(6, 14)
        columns = dice.randint(2, 5) if form == "table" else 1
        for top in range(40, height - 40, step):
            pen.line((30, top, width - 30, top), fill=(90, 90, 90))
            for column in range(columns):
                left = 34 + column * (width - 60) // columns
                word = dice.choice(WORDS) if form == "form" else str(dice.randint(0, 99_999))
                pen.text((left, top + 2), word, fill=(20, 20, 20), font=_font(size))
    return picture


def screenshot(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw windows with bars, buttons and text; a chat or a terminal when judging."""
    width, height = dice.choice([(800, 600), (400, 720), (900, 560)])
    dark = dice.random() < 0.5
    ground: Colour = (30, 31, 34) if dark else (244, 245, 247)
    ink: Colour = (225, 225, 225) if dark else (30, 30, 30)
    picture = Image.new("RGB", (width, height), ground)
    pen, size = ImageDraw.Draw(picture), dice.randint(12, 20)
    if manner == "fit":
        pen.rectangle((0, 0, width, 40), fill=_colour(dice))
        pen.rectangle((0, 40, width // 5, height), fill=_shade(ground, 12 if dark else -12))
        for row in range(dice.randint(3, 7)):
            top = 60 + row * 80
            pen.rounded_rectangle(
                (width // 4, top, width - 30, top + 64), 8, fill=_shade(ground, 10 if dark else -8)
            )
            pen.rounded_rectangle((width - 130, top + 16, width - 50, top + 48), 6, _colour(dice))
            _text(pen, dice, (width // 4 + 12, top + 8, width - 150, top + 60), size, ink)
    elif dice.random() < 0.5:
        top = 20
        while top < height - 60:
            mine, tall = dice.random() < 0.5, dice.randint(36, 90)
            left = width // 3 if mine else 16
            box = (left, top, left + width * 3 // 5, top + tall)
            pen.rounded_rectangle(
                box, 14, fill=_colour(dice) if mine else _shade(ground, 20 if dark else -20)
            )
            _text(pen, dice, (box[0] + 10, box[1] + 8, box[2] - 10, box[3] - 4), size, ink)
            top += tall + 14
    else:
        for top in range(8, height - size, size + 5):
            end = 8 + dice.randint(60, width - 60)
            _text(pen, dice, (8, top, end, top + size + 4), size, _colour(dice))
    return picture


def chart(dice: random.Random, manner: ErrorFormat) -> Image.Image:
    """Draw a diagram: bars and lines; pies, points and areas when judging."""
    width, height = dice.choice([(640, 420), (480, 480), (800, 450)])
    paper = dice.choice([(255, 255, 255), (250, 250, 244), (28, 30, 36)])
    ink: Colour = (0, 0, 0) if paper[0] > 128 else (230, 230, 230)
    picture = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = 60, 40, width - 30, height - 50
    kind = dice.randint(0, 2)
    if manner == "judge" and kind == 0:
        _pie(pen, dice, (width // 2 - 140, height // 2 - 140, width // 2 + 140, height // 2 + 140))
        return picture
    pen.line((left, top, left, bottom), fill=ink, width=2)
    pen.line((left, bottom, right, bottom), fill=ink, width=2)
    steps = dice.randint(4, 14)
    step = (right - left) / steps
    levels = [dice.randint(top, bottom - 4) for _ in range(steps + 1)]
    if manner == "fit" and kind == 0:
        for number, level in enumerate(levels[:-1]):
            begin = left + number * step + 3
            pen.rectangle((begin, level, begin + step * 0.7, bottom - 1), fill=_colour(dice))
    elif manner == "fit":
        for _ in range(dice.randint(1, 4)):
            points = [(left + n * step, dice.randint(top, bottom)) for n in range(steps + 1)]
            pen.line(points, fill=_colour(dice), width=dice.randint(1, 5))
    elif kind == 1:
        colour = _colour(dice)
        for _ in range(dice.randint(20, 200)):
            x, y = dice.uniform(left, right), dice.uniform(top, bottom)
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    else:
        points = [(left + n * step, level) for n, level in enumerate(levels)]
        pen.polygon([(left, bottom), *points, (right, bottom)], fill=_colour(dice))
    for tick in range(top, bottom, 50):
        pen.text((20, tick), str(dice.randint(0, 999)), fill=ink, font=_font(12))
    return picture


def _pie(pen: ImageDraw.ImageDraw, dice: random.Random, box: tuple[int, int, int, int]) -> None:
    begin = 0.0
    while begin < 360:
        end = min(360, begin + dice.uniform(20, 120))
        pen.pieslice(box, begin, end, fill=_colour(dice))
        begin = end


KINDS: dict[str, Drawer] = {
    "blank": blank,
    "gradient": gradient,
    "noise": noise,
    "blur": blur,
    "pattern": pattern,
    "document": document,
    "screenshot": screenshot,
    "chart": chart,
}


def _size(dice: random.Random) -> tuple[int, int]:
    return dice.randint(240, 640), dice.randint(240, 640)


def _colour(dice: random.Random) -> Colour:
    return dice.randint(0, 255), dice.randint(0, 255), dice.randint(0, 255)


def _shade(colour: Colour, change: int) -> Colour:
    red, green, blue = (max(0, min(255, channel + change)) for channel in colour)
    return red, green, blue


def _point(dice: random.Random, width: int, height: int) -> tuple[int, int]:
    return dice.randint(0, width), dice.randint(0, height)


def _box(dice: random.Random, width: int, height: int) -> tuple[int, int, int, int]:
    left, top = dice.randint(-width // 4, width), dice.randint(-height // 4, height)
    return left, top, left + dice.randint(40, width), top + dice.randint(40, height)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(
    pen: ImageDraw.ImageDraw,
    dice: random.Random,
    box: tuple[int, int, int, int],
    size: int,
    ink: Colour = (25, 25, 25),
) -> None:
    """Fill a box with lines of words."""
    left, top, right, bottom = box
    font = _font(size)
    while top + size <= bottom:
        line = ""
        while pen.textlength(f"{line} word", font=font) < right - left:
            line += f" {dice.choice(WORDS)}"
        pen.text((left, top), line.strip(), fill=ink, font=font)
        top += size + dice.randint(3, 7)


def _plus_noise(picture: Image.Image, dice: random.Random, deviation: float) -> Image.Image:
    generator = np.random.default_rng(dice.getrandbits(32))
    pixels = np.asarray(picture, np.float32)
    return _picture(pixels + generator.normal(0, deviation, pixels.shape))


def _picture(pixels: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
