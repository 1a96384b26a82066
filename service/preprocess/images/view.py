"""A picture that shows people what a model sees: the tensor with its normalisation undone."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.model_input import Colour, Dtype, InputSpec, Layout
from service.core.engine.normalisation import gain_and_bias
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

    Equal to those that were normalised, unless the manifest's numbers lose them: then to the
    nearest that the tensor still tells apart.
    """
    spec = image.spec
    tensor = image.tensor[0]
    ordered = tensor.transpose(1, 2, 0) if spec.layout is Layout.NCHW else tensor
    pixels = _as_levels(ordered, spec)
    if spec.colour is Colour.GREY:
        return np.ascontiguousarray(pixels[:, :, 0])
    if spec.colour is Colour.BGR:
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels)


def _as_levels(ordered: NDArray[np.generic], spec: InputSpec) -> NDArray[np.uint8]:
    """Undo ``pixel * gain + bias``; a gain of 0 keeps nothing of the pixels, which are then 0."""
    if spec.dtype is Dtype.UINT8:
        return ordered.astype(np.uint8, copy=False)
    gain, bias = (numbers.astype(np.float64) for numbers in gain_and_bias(spec))
    seen = np.where(gain == 0, np.inf, gain)
    levels = np.rint((ordered.astype(np.float64) - bias) / seen)
    return np.clip(levels, 0, 255).astype(np.uint8)
