"""Conversion of an encoded image to an input tensor, as the model's manifest describes it.

The result is that of the textbook ("scale the whole image, crop the centre, convert, normalise"),
to within a grey level; if an image shrinks a lot, single pixels may be a few levels off, but the
mean is less than one off. The work is less: a large JPEG is decoded at a fraction of its size, only
the cropped part is resampled, and pixels are normalised per channel and in place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Unsupported
from schemas.manifest.model_input import Colour, Dtype, InputSpec, Layout, Squash
from service.core.engine.normalisation import gain_and_bias
from service.core.imaging.decoding import open_image, region
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.orientation import UPRIGHT, Box
from service.core.imaging.resizers import Resizer, best_resizer
from service.core.imaging.resizing import resize_with
from service.core.numeric.column_map import ColumnMap

ImageArray = NDArray[np.float32] | NDArray[np.uint8]
"""One image in the manifest's layout and dtype, or pixels: see ``engine.Images``."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A tensor ready for the engine, the image's format and size, and durations in seconds.

    tensor: [C, H, W] or [H, W, C] of the manifest's dtype, C-contiguous, owned by the caller.
    is_truncated: whether the end of the file, and thus very few pixels, was missing.
    """

    tensor: ImageArray
    format: str
    width: int
    height: int
    decode_seconds: float
    preprocess_seconds: float
    is_truncated: bool = False


class Preprocessor:
    """A converter of bytes to tensors for one model. Pure and lock-free: any thread may call it.

    Attributes:
        converter: of pixels, the last step.
    """

    def __init__(
        self,
        spec: InputSpec,
        limits: ImageLimits,
        resizer: Resizer | None = None,
        scaler: ColumnMap | None = None,
    ) -> None:
        """Create a preprocessor.

        Args:
            resizer: the fastest one here, if not given.
            scaler: the one that the manifest names; a column for each channel.

        Raises:
            ResizerMissing: the resizer cannot be used here.
        """
        self._spec = spec
        self._limits = limits
        self.converter = TensorConverter(spec, scaler)
        self._mode = "L" if spec.colour is Colour.GREY else "RGB"
        self._resize = resize_with(resizer or best_resizer(), spec.resize.interpolation)

    def __call__(self, data: bytes, *, may_be_slow: bool = True) -> PreparedImage:
        """Decode, scale, crop and normalise an image.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge, SlowWork: see ``decoding.open_image``.
        """
        began = time.perf_counter()
        spec = self._spec
        with open_image(data, self._limits, may_be_slow=may_be_slow) as image:
            box, whole = crop_box(image.width, image.height, spec)
            source = region(image, box, self._mode, whole)
            decoded = time.perf_counter()
            size = (spec.height, spec.width) if image.is_turned else (spec.width, spec.height)
            pixels = self._resize(source.pixels, size, source.box)
            turn = UPRIGHT.get(image.orientation)
            if turn is not None:
                pixels = pixels.transpose(turn)
            tensor = self.converter(np.asarray(pixels))
        return PreparedImage(
            tensor,
            image.format,
            image.width,
            image.height,
            decoded - began,
            time.perf_counter() - decoded,
            image.is_truncated,
        )


class TensorConverter:
    """A converter of pixels to the input of a graph: its order, type and range.

    Attributes:
        levels: what each level 0..255 of each channel becomes, float32 [C, 256].
    """

    def __init__(self, spec: InputSpec, scaler: ColumnMap | None = None) -> None:
        """``scaler``: see ``Preprocessor``.

        Raises:
            Unsupported: the manifest names a scaler, but none is given.
        """
        if spec.scaler is not None and scaler is None:
            raise Unsupported("The model has a scaler, which is not applied here.")
        self._spec = spec
        self._gain, self._bias = gain_and_bias(spec)
        self._is_scaled = scaler is not None
        if scaler is not None:
            self.levels = _scaled_levels(scaler)
        else:
            every = np.arange(256, dtype=np.float32)
            self.levels = every * self._gain[:, np.newaxis] + self._bias[:, np.newaxis]

    def __call__(self, pixels: NDArray[np.uint8]) -> ImageArray:
        """Convert pixels [H, W] or [H, W, 3] of RGB."""
        spec = self._spec
        pixels_HWC = pixels.reshape(spec.height, spec.width, spec.colour.channels)
        if spec.colour is Colour.BGR:
            pixels_HWC = pixels_HWC[:, :, ::-1]
        ordered = pixels_HWC.transpose(2, 0, 1) if spec.layout is Layout.NCHW else pixels_HWC
        if spec.dtype is Dtype.UINT8:
            return np.ascontiguousarray(ordered)
        tensor = np.empty(ordered.shape, np.float32)
        if self._is_scaled:
            by_channel = ordered if spec.layout is Layout.NCHW else ordered.transpose(2, 0, 1)
            planes = tensor if spec.layout is Layout.NCHW else tensor.transpose(2, 0, 1)
            for plane, pixels_HW, levels in zip(planes, by_channel, self.levels, strict=True):
                plane[...] = levels[pixels_HW]
            return tensor
        if spec.layout is Layout.NCHW:
            for channel, (gain, bias) in enumerate(zip(self._gain, self._bias, strict=True)):
                plane = tensor[channel]
                np.multiply(ordered[channel], gain, out=plane)
                plane += bias
        else:
            np.multiply(ordered, self._gain, out=tensor)
            tensor += self._bias
        return tensor


def _scaled_levels(scaler: ColumnMap) -> NDArray[np.float32]:
    """Return what each level of each channel becomes, float32 [C, 256]; computed in float64."""
    levels = np.repeat(np.arange(256, dtype=np.float64)[:, np.newaxis], scaler.columns, axis=1)
    with np.errstate(over="ignore"):
        return scaler(levels).T.astype(np.float32, order="C")


def pixel_spec(spec: InputSpec) -> InputSpec:
    """Return the preprocessing for an engine that takes pixels: see ``engine.Images``."""
    colour = Colour.GREY if spec.colour is Colour.GREY else Colour.RGB
    plain = {"dtype": Dtype.UINT8, "layout": Layout.NHWC, "colour": colour}
    return spec.model_copy(update={**plain, "scale": 1.0, "mean": (0.0,), "std": (1.0,)})


def crop_box(width: int, height: int, spec: InputSpec) -> tuple[Box, tuple[float, float]]:
    """Return the part of an upright image that the model gets, and the scaled whole size.

    For ``shorter_side`` the longer side becomes ``int(pixels * long / short)`` and the crop starts
    at a whole pixel of the scaled image, as torchvision rounds it.
    """
    if isinstance(spec.resize, Squash):
        return (0, 0, width, height), (spec.width, spec.height)
    short, target = min(width, height), spec.resize.pixels
    scaled_width = target if width == short else int(target * width / short)
    scaled_height = target if height == short else int(target * height / short)
    left = round((scaled_width - spec.width) / 2)
    upper = round((scaled_height - spec.height) / 2)
    across, down = width / scaled_width, height / scaled_height
    box = (
        left * across,
        upper * down,
        (left + spec.width) * across,
        (upper + spec.height) * down,
    )
    return box, (scaled_width, scaled_height)
