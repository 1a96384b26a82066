"""Generated pictures."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
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
    """An image of one colour, as a file of the format."""
    return encoded(Image.new("RGB", size, colour), format)


def gradient(size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A gradient without symmetry, which shows a wrong crop, orientation or channel order."""
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([across, down, 255 - across], 2).astype(np.uint8))


def blobs(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Blurred coloured spots with strong contrast: detailed like a photo, but without noise."""
    width, height = size
    grid = (max(2, height // 12), max(2, width // 12), 3)
    spots = np.random.default_rng(seed).integers(0, 256, grid, np.uint8)
    return Image.fromarray(spots).resize(size, Image.Resampling.BICUBIC)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Random pixels: the hardest case for resampling."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def oriented(upright: Image.Image, orientation: int, format: str, **options: object) -> bytes:  # noqa: A002
    """A file with rotated pixels, which its EXIF orientation (1 to 8) turns upright."""
    undo = (
        *(None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180),
        *(Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90),
        *(Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270),
    )[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(undo)
    return encoded(stored, format, exif=exif, **options)


def textbook(
    image: Image.Image,
    pixels: int,
    crop: tuple[int, int],
    mode: str = "RGB",
) -> NDArray[np.uint8]:
    """Textbook preprocessing: convert, scale the shorter side to ``pixels``, crop.

    Args:
        crop: width and height.

    Returns:
        Pixels [H, W] or [H, W, 3] before any normalising. 16 bits a sample become 8 and
        transparent pixels white first, which tutorials leave out.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert(mode)
    width, height = image.size
    short = min(width, height)
    scaled = (
        pixels if width == short else int(pixels * width / short),
        pixels if height == short else int(pixels * height / short),
    )
    left, upper = round((scaled[0] - crop[0]) / 2), round((scaled[1] - crop[1]) / 2)
    whole = image.resize(scaled, Image.Resampling.BILINEAR)
    return np.asarray(whole.crop((left, upper, left + crop[0], upper + crop[1])))
