"""Resizing of decoded images: by SIMD where the package is installed, else by Pillow.

``cykooz-resizer`` binds Rust's fast_image_resize. It is called for one pass at a time, in Pillow's
order. Then nearly all pixels are those of Pillow; the others are one grey level off. With filters
that overshoot (bicubic, Lanczos), such a level can become two in the second pass: on noise in one
pixel of a million if the image shrinks, and in more if it grows, so Pillow takes those that grow.
It takes the nearest neighbour too, which differs where a coordinate is on the edge of a pixel.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable

from PIL import Image

from schemas.models import Interpolation
from service.core.imaging.orientation import Box
from service.core.imaging.resizers import Resizer, check_resizer

# From this shrink factor on, blocks of pixels are averaged first; Pillow's documentation calls 3
# "visually indistinguishable from fair resampling". It makes large images several times cheaper.
REDUCING_GAP = 3.0
FILTERS = {
    Interpolation.NEAREST: Image.Resampling.NEAREST,
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
    Interpolation.LANCZOS: Image.Resampling.LANCZOS,
}
_FLOATS = struct.Struct("4f")
_RADIUS = {Interpolation.BILINEAR: 1.0, Interpolation.BICUBIC: 2.0, Interpolation.LANCZOS: 3.0}
"""Reach of each filter, in pixels of the coarser of the two scales."""

Resize = Callable[[Image.Image, tuple[int, int], Box], Image.Image]
"""Return a box of an RGB or grey image at a size (width, height); any thread may call."""


def resize_with(resizer: Resizer, interpolation: Interpolation) -> Resize:
    """Return a function that resizes with the filter.

    Raises:
        ResizerMissing: the resizer cannot be used here.
    """
    check_resizer(resizer)
    if resizer is Resizer.CYKOOZ and interpolation is not Interpolation.NEAREST:
        return _by_cykooz(interpolation)
    return _by_pillow(interpolation)


def _by_pillow(interpolation: Interpolation) -> Resize:
    resampling = FILTERS[interpolation]
    return lambda image, size, box: image.resize(size, resampling, box, REDUCING_GAP)


def _by_cykooz(interpolation: Interpolation) -> Resize:
    """Import the package, which takes 3 MiB, and return its filter."""
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions
    from cykooz_resizer import Resizer as Convolver

    names = {"bicubic": FilterType.catmull_rom, "lanczos": FilterType.lanczos3}
    algorithm = ResizeAlg.convolution(names.get(interpolation, FilterType.bilinear))
    overshoots, radius = interpolation in names, _RADIUS[interpolation]
    by_pillow = _by_pillow(interpolation)
    of_thread = threading.local()  # a convolver keeps buffers, which threads must not share

    def passed(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
        """Resize in one direction; in the other, the box is as long as ``size``."""
        try:
            convolver = of_thread.convolver
        except AttributeError:
            convolver = of_thread.convolver = Convolver()
        left, upper, right, lower = box
        made = Image.new(image.mode, size)
        crop = CropBox(left, upper, right - left, lower - upper)
        convolver.resize_pil(image, made, ResizeOptions(algorithm, crop_box=crop))
        return made

    def resize(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
        width, height = size
        if overshoots and (box[2] - box[0] < width or box[3] - box[1] < height):
            return by_pillow(image, size, box)
        image, box = _averaged(image, size, box, radius)
        # Pillow takes the box as float32, which shifts it in a wide image.
        left, upper, right, lower = _FLOATS.unpack(_FLOATS.pack(*box))
        right, lower = min(right, image.width), min(lower, image.height)
        if image.height - height > max(0, 2 * (image.width - width)):  # Pillow goes down first
            first, last = _read(left, right, width, radius, image.width)
            image = passed(image, (last - first, height), (first, upper, last, lower))
            return passed(image, size, (left - first, 0, right - first, height))
        first, last = _read(upper, lower, height, radius, image.height)
        image = passed(image, (width, last - first), (left, first, right, last))
        return passed(image, size, (0, upper - first, width, lower - first))

    return resize


def _read(low: float, high: float, size: int, radius: float, length: int) -> tuple[int, int]:
    """Return the rows or columns that a pass reads to resize ``low..high`` to ``size``."""
    margin = radius * max(1.0, (high - low) / size)
    return max(0, int(low - margin)), min(length, math.ceil(high + margin))


def _averaged(
    image: Image.Image, size: tuple[int, int], box: Box, radius: float
) -> tuple[Image.Image, Box]:
    """Average blocks of pixels of a large image; return it, and the box in it.

    The blocks are those of ``Image.resize`` with ``REDUCING_GAP``.
    """
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    factors = int(across / REDUCING_GAP) or 1, int(down / REDUCING_GAP) or 1
    if factors == (1, 1):
        return image, box
    margin_x, margin_y = (radius - 0.5) * across, (radius - 0.5) * down
    left, upper = max(0, int(box[0] - margin_x)), max(0, int(box[1] - margin_y))
    right = min(image.width, math.ceil(box[2] + margin_x))
    lower = min(image.height, math.ceil(box[3] + margin_y))
    inner = (
        (box[0] - left) / factors[0],
        (box[1] - upper) / factors[1],
        (box[2] - left) / factors[0],
        (box[3] - upper) / factors[1],
    )
    return image.reduce(factors, (left, upper, right, lower)), inner
