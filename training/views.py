"""Views of a photo: the centre view that serving uses, and random crops for training.

No PyTorch here: the contract tests compare ``centre_view`` with the server's own preprocessing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]
"""Left, upper, right, lower in source pixels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shorter side scaled to ``resize``, then a centred square of ``crop`` pixels."""

    resize: int
    crop: int


def centre_box(width: int, height: int, geometry: Geometry) -> Box:
    """The part of the source that remains after "shorter side to ``resize``, centre crop".

    The longer side is scaled to ``int(resize * long / short)``, and the crop starts at a whole
    pixel of the scaled image (torchvision's rounding), so both axes may scale a little differently.
    """
    short = min(width, height)
    scaled_width = geometry.resize if width == short else int(geometry.resize * width / short)
    scaled_height = geometry.resize if height == short else int(geometry.resize * height / short)
    left = round((scaled_width - geometry.crop) / 2)
    upper = round((scaled_height - geometry.crop) / 2)
    across, down = width / scaled_width, height / scaled_height
    return (
        left * across,
        upper * down,
        (left + geometry.crop) * across,
        (upper + geometry.crop) * down,
    )


def random_box(width: int, height: int, rng: np.random.Generator, area: tuple[float, float]) -> Box:
    """A crop of a random share of the area and a random aspect ratio (Szegedy et al., 2015)."""
    for _ in range(10):
        pixels = width * height * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        across, down = math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)
        if across <= width and down <= height:
            left, upper = rng.uniform(0, width - across), rng.uniform(0, height - down)
            return left, upper, left + across, upper + down
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def view(image: Image.Image, box: Box, size: int) -> NDArray[np.uint8]:
    """``box`` of the image as a ``size`` x ``size`` RGB square, uint8 HWC, antialiased bilinear."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def centre_view(image: Image.Image, geometry: Geometry) -> NDArray[np.uint8]:
    """The view of an RGB image that serving uses: uint8 HWC, ``crop`` x ``crop`` x 3."""
    return view(image, centre_box(image.width, image.height, geometry), geometry.crop)
