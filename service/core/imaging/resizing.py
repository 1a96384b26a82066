"""Resizing of decoded images: by SIMD where the package is installed, else by Pillow.

``cykooz-resizer`` binds Rust's fast_image_resize. Its weights have about 16 bits, Pillow's 22, so
that it rounds a pixel near the middle of two grey levels to the other one. After two such passes
pixels are two levels off. So it computes the first pass of the bilinear filter alone, which is the
longer one, and Pillow the second: its weights are positive and sum to one, so that one level stays
at most one. Pillow computes all of the filters that overshoot (bicubic, Lanczos), whose weights
turn one level into two, and the nearest neighbour, which differs where a coordinate is on the edge
of a pixel.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable

from PIL import Image

from schemas.manifest.model_input import Interpolation
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

Resize = Callable[[Image.Image, tuple[int, int], Box], Image.Image]
"""Return a box of an RGB or grey image at a size (width, height); any thread may call."""


def resize_with(resizer: Resizer, interpolation: Interpolation) -> Resize:
    """Return a function that resizes with the filter.

    Raises:
        ResizerMissing: the resizer cannot be used here.
    """
    check_resizer(resizer)
    if resizer is Resizer.CYKOOZ and interpolation is Interpolation.BILINEAR:
        return _bilinear_by_cykooz()
    resampling = FILTERS[interpolation]
    return lambda image, size, box: image.resize(size, resampling, box, REDUCING_GAP)


def _bilinear_by_cykooz() -> Resize:
    """Import the package, which takes 3 MiB, and return the filter."""
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions
    from cykooz_resizer import Resizer as Convolver

    algorithm = ResizeAlg.convolution(FilterType.bilinear)
    of_thread = threading.local()  # a convolver keeps buffers, which threads must not share

    def first_pass(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
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
        image, box = _averaged(image, size, box)
        # Pillow takes the box as float32, which shifts it in a wide image.
        left, upper, right, lower = _FLOATS.unpack(_FLOATS.pack(*box))
        right, lower = min(right, image.width), min(lower, image.height)
        if image.height - height > max(0, 2 * (image.width - width)):  # Pillow goes down first
            first, last = _read(left, right, width, image.width)
            image = first_pass(image, (last - first, height), (first, upper, last, lower))
            box = (left - first, 0, right - first, height)
        else:
            first, last = _read(upper, lower, height, image.height)
            image = first_pass(image, (width, last - first), (left, first, right, last))
            box = (0, upper - first, width, lower - first)
        return image.resize(size, Image.Resampling.BILINEAR, box)

    return resize


def _read(low: float, high: float, size: int, length: int) -> tuple[int, int]:
    """Return the rows or columns that a pass reads to resize ``low..high`` to ``size``."""
    margin = max(1.0, (high - low) / size)
    return max(0, int(low - margin)), min(length, math.ceil(high + margin))


def _averaged(image: Image.Image, size: tuple[int, int], box: Box) -> tuple[Image.Image, Box]:
    """Average blocks of pixels of a large image; return it, and the box in it.

    The blocks are those of ``Image.resize`` with ``REDUCING_GAP``.
    """
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    factors = int(across / REDUCING_GAP) or 1, int(down / REDUCING_GAP) or 1
    if factors == (1, 1):
        return image, box
    margin_x, margin_y = across / 2, down / 2
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
