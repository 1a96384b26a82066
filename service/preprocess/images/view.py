"""A picture that shows people what a model sees: the tensor with its normalisation undone."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.manifest.model_input import Colour, Layout
from service.core.serving.image_tensors import ImageTensor

COMPRESSION = 1
"""Zlib level of the file: a photo hardly shrinks more at higher ones, which take five times as
long."""


def to_png(image: ImageTensor) -> bytes:
    """Return a PNG file of the pixels that the model sees: grey or RGB, upright, cropped, sized."""
    file = io.BytesIO()
    Image.fromarray(pixels_of(image)).save(file, "PNG", compress_level=COMPRESSION)
    return file.getvalue()


def pixels_of(image: ImageTensor) -> NDArray[np.uint8]:
    """Return the pixels 0..255 of a tensor, [H, W] or [H, W, 3] of RGB.

    Equal to those that were normalised, unless normalising maps several levels to one number: then
    one of them.
    """
    spec = image.spec
    tensor = image.tensor[0]
    planes = tensor if spec.layout is Layout.NCHW else tensor.transpose(2, 0, 1)
    pixels = np.empty((spec.height, spec.width, len(planes)), np.uint8)
    for channel, (plane, levels) in enumerate(zip(planes, image.levels, strict=True)):
        pixels[:, :, channel] = _nearest(levels, plane.astype(np.float32))
    if spec.colour is Colour.GREY:
        return np.ascontiguousarray(pixels[:, :, 0])
    if spec.colour is Colour.BGR:
        return np.ascontiguousarray(pixels[:, :, ::-1])
    return pixels


def _nearest(levels: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the index of the number in ``levels`` that is nearest to each value."""
    order = np.argsort(levels, kind="stable")  # decreasing, if the scale is negative
    rising = levels[order]
    above = np.clip(np.searchsorted(rising, values), 1, len(rising) - 1)
    with np.errstate(invalid="ignore"):  # infinite levels
        is_below = values - rising[above - 1] <= rising[above] - values
    return order[above - is_below].astype(np.uint8)
