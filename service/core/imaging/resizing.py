"""Resizing of decoded images: by SIMD where the package is installed, else by Pillow.

``cykooz-resizer`` binds Rust's fast_image_resize. Its bilinear convolution is that of Pillow to
within one grey level; one pass at a time, across and then down as in Pillow, nearly all pixels are
equal. Its bicubic and Lanczos filters are not: they overshoot, both libraries clip between the
passes, and Pillow's order depends on the sizes. Its nearest neighbour differs where a coordinate
falls on the edge of a pixel. Pillow takes these three everywhere.
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
_BILINEAR_SUPPORT = 0.5
"""Pixels beyond the box that the filter reads, at the coarser of the two scales."""

Resize = Callable[[Image.Image, tuple[int, int], Box], Image.Image]
"""Return a box of an RGB or grey image at a size (width, height); any thread may call."""


def resize_with(resizer: Resizer, interpolation: Interpolation) -> Resize:
    """Return a function that resizes with the filter, by ``resizer`` where it equals Pillow.

    Raises:
        ResizerMissing: the resizer cannot be used here.
    """
    check_resizer(resizer)
    if resizer is Resizer.CYKOOZ and interpolation is Interpolation.BILINEAR:
        return _cykooz_bilinear()
    resampling = FILTERS[interpolation]
    return lambda image, size, box: image.resize(size, resampling, box, REDUCING_GAP)


def _cykooz_bilinear() -> Resize:
    """Import the package, which takes 3 MiB, and return its bilinear filter."""
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions
    from cykooz_resizer import Resizer as Convolver

    bilinear = ResizeAlg.convolution(FilterType.bilinear)
    of_thread = threading.local()  # a convolver keeps buffers, which threads must not share

    def resize(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
        try:
            convolver = of_thread.convolver
        except AttributeError:
            convolver = of_thread.convolver = Convolver()
        image, box = _averaged(image, size, box)
        # Pillow takes the box as float32, which shifts it in a wide image.
        left, upper, right, lower = _FLOATS.unpack(_FLOATS.pack(*box))
        width, height = min(right, image.width) - left, min(lower, image.height) - upper
        # The second pass reads one row beyond the box, or more if it shrinks.
        margin = max(1.0, height / size[1])
        top, bottom = max(0, int(upper - margin)), min(image.height, math.ceil(lower + margin))
        narrow = Image.new(image.mode, (size[0], bottom - top))
        across = ResizeOptions(bilinear, crop_box=CropBox(left, top, width, bottom - top))
        convolver.resize_pil(image, narrow, across)
        resized = Image.new(image.mode, size)
        down = ResizeOptions(bilinear, crop_box=CropBox(0, upper - top, size[0], height))
        convolver.resize_pil(narrow, resized, down)
        return resized

    return resize


def _averaged(image: Image.Image, size: tuple[int, int], box: Box) -> tuple[Image.Image, Box]:
    """Average blocks of pixels of a large image; return it, and the box in it.

    The blocks are those of ``Image.resize`` with ``REDUCING_GAP``, for its bilinear filter.
    """
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    factors = int(across / REDUCING_GAP) or 1, int(down / REDUCING_GAP) or 1
    if factors == (1, 1):
        return image, box
    margin_x, margin_y = _BILINEAR_SUPPORT * across, _BILINEAR_SUPPORT * down
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
