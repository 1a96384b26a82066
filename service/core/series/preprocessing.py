"""Conversion of a window of samples to an input tensor, as the model's manifest describes it.

The arithmetic is in float64 and is rounded to float32 once, at the end: a mean that is large
against its deviation costs no digits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidTensor, Unsupported
from schemas.manifest.series import SeriesSpec
from service.core.numeric.column_map import ColumnMap

Samples = NDArray[np.float32]


class NotFinite(InvalidTensor):
    """A sample is NaN, infinite, or too large once it is scaled, and the manifest refuses that."""


@dataclass(slots=True)
class Window:
    """Samples [length, channels], oldest first. They must not change before the answer."""

    samples_LC: Samples


@dataclass(slots=True)
class PreparedWindow:
    """A tensor ready for the engine, float32 [channels, length], and a duration in seconds.

    Of several windows that were prepared together: [N, channels, length], and the mean duration.
    """

    decode_seconds: ClassVar[float] = 0.0

    tensor: Samples
    preprocess_seconds: float


class SeriesPreprocessor:
    """A converter of windows to tensors for one model. Pure and lock-free, for all threads."""

    def __init__(self, spec: SeriesSpec, scaler: ColumnMap | None = None) -> None:
        """``scaler``: the one that the manifest names; a column for each channel.

        Raises:
            Unsupported: the manifest names a scaler, but none is given.
        """
        if spec.scaler is not None and scaler is None:
            raise Unsupported("The model has a scaler, which is not applied here.")
        self._spec, self._scaler = spec, scaler
        self._mean = _numbers(spec.mean)
        self._std = _numbers(spec.std)
        self._is_division = spec.scale == 1 and not self._mean.any()
        self._is_identity = self._is_division and scaler is None and (self._std == 1).all()

    def __call__(self, data: bytes, *, may_be_slow: bool = True) -> NoReturn:  # noqa: ARG002
        """Refuse an encoded image.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"The model takes {self._spec.takes}, not images.")

    def window(self, samples_LC: Samples) -> PreparedWindow:
        """Return ``(sample * scale - mean) / std``, transposed, as a new C-contiguous tensor.

        Where the manifest names a scaler, that stands instead.

        Raises:
            InvalidTensor: the window is not float32 of shape [length, channels].
            NotFinite: a result is not finite, and the manifest's ``nan`` is ``refuse``.
        """
        began = time.perf_counter()
        check_window(samples_LC, self._spec)
        tensor_CL = self._normalised(samples_LC)
        if tensor_CL.base is not None:
            tensor_CL = tensor_CL.copy()
        # The results, not the samples: scaling may overflow too. So may their sum, which is one
        # call for two (see ``imaging.postprocessing``).
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(np.add.reduce(tensor_CL, axis=None))
        if not math.isfinite(total):
            is_finite_CL = np.isfinite(tensor_CL)
            if not is_finite_CL.all():
                self._mend(tensor_CL, is_finite_CL)
        return PreparedWindow(tensor_CL, time.perf_counter() - began)

    def windows(
        self, windows_NLC: Sequence[Samples]
    ) -> tuple[PreparedWindow, dict[int, NotFinite]]:
        """Convert several windows of the right type and shape; see ``window``.

        NumPy gives up the interpreter's lock in each call on more than 500 numbers, and a thread
        waits for it longer than the call takes: there are a few calls for all windows.

        Returns:
            The tensors of the windows that have no error, [N, channels, length], with the mean
            duration of one; and the errors, by the place of their windows.
        """
        began, spec = time.perf_counter(), self._spec
        # numpy.stack would give up the lock for each window.
        joined = b"".join([np.ascontiguousarray(samples_LC).data for samples_LC in windows_NLC])
        given_NLC = np.frombuffer(joined, np.float32).reshape(-1, spec.length, spec.channels)
        tensor_NCL = self._normalised(given_NLC)
        errors: dict[int, NotFinite] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(np.add.reduce(tensor_NCL, axis=None))
        if not math.isfinite(total):
            tensor_NCL = tensor_NCL.copy()  # may be a view of the windows
            for number, tensor_CL in enumerate(tensor_NCL):
                is_finite_CL = np.isfinite(tensor_CL)
                if not is_finite_CL.all():
                    try:
                        self._mend(tensor_CL, is_finite_CL)
                    except NotFinite as error:
                        errors[number] = error
            fitting = [number for number in range(len(tensor_NCL)) if number not in errors]
            tensor_NCL = tensor_NCL[fitting]
        seconds = (time.perf_counter() - began) / len(windows_NLC)
        return PreparedWindow(tensor_NCL, seconds), errors

    def _normalised(self, samples_NLC: Samples) -> Samples:
        """Normalise and transpose windows [..., length, channels]; may return a view of them."""
        given_NCL = samples_NLC.swapaxes(-1, -2)
        if self._is_identity:
            return np.ascontiguousarray(given_NCL)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found later
            if self._scaler is not None:
                scaled_NLC = self._scaler(samples_NLC.astype(np.float64))
                return scaled_NLC.swapaxes(-1, -2).astype(np.float32, order="C")
            if self._is_division:  # the same in one call
                tensor_NCL = np.empty(given_NCL.shape, np.float32)
                return np.divide(
                    given_NCL, self._std, out=tensor_NCL, dtype=np.float64, casting="same_kind"
                )
            numbers_NCL = given_NCL.astype(np.float64, order="C")
            numbers_NCL *= self._spec.scale
            numbers_NCL -= self._mean
            numbers_NCL /= self._std
            return numbers_NCL.astype(np.float32)

    def _mend(self, tensor_CL: Samples, is_finite_CL: NDArray[np.bool_]) -> None:
        """Replace results that are not finite, in place.

        Raises:
            NotFinite: the manifest refuses them.
        """
        policy = self._spec.nan
        if policy == "refuse":
            channel, place = np.argwhere(~is_finite_CL)[0].tolist()
            raise NotFinite(f"Sample {place} of channel {channel} is not finite.")
        if policy == "hold":
            last_CL = np.where(is_finite_CL, np.arange(tensor_CL.shape[1]), -1)
            np.maximum.accumulate(last_CL, axis=1, out=last_CL)
            held_CL = np.take_along_axis(tensor_CL, np.maximum(last_CL, 0), axis=1)
            np.copyto(tensor_CL, held_CL)
            is_finite_CL = last_CL >= 0
        np.copyto(tensor_CL, 0, where=~is_finite_CL)  # the mean, normalised


def check_window(samples_LC: Samples, spec: SeriesSpec) -> None:
    """Raise ``InvalidTensor`` if a window has not the type and shape that a model takes."""
    shape = (spec.length, spec.channels)
    if samples_LC.dtype != np.float32 or samples_LC.shape != shape:
        raise InvalidTensor(
            f"A window is float32 of shape {list(shape)}, not {samples_LC.dtype} of shape "
            f"{list(samples_LC.shape)}."
        )


def window_of_npy(data: bytes) -> Samples:
    """Parse a window in NumPy's file format; its shape is not checked.

    Raises:
        InvalidTensor: it is no such file, or its numbers are not float32.
    """
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InvalidTensor(f"This is no NumPy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise InvalidTensor("The file does not hold one array of float32.")
    return array


def _numbers(given: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(given, np.float64).reshape(-1, 1)
