"""The kind of models that take windows of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.manifest.series import SeriesSpec
from service.core.engine.engine import Images
from service.core.numeric.column_map import ColumnMap
from service.core.series.preprocessing import (
    PreparedWindow,
    Samples,
    SeriesPreprocessor,
    Window,
    window_of_npy,
)
from service.core.serving.checks.noise import standard_noise
from service.core.serving.kinds.kind import SingleItems

SERIES_BATCH = 16
"""Windows are small: unlike images, those that wait together are faster together, on CPUs too."""
_FAR = 8.0
"""A normalised sample beyond nearly all others."""


class SeriesKind(SingleItems):
    """See ``Kind``."""

    item = "window"
    most_together: int | None = SERIES_BATCH

    def __init__(self, spec: SeriesSpec, scaler: ColumnMap | None = None) -> None:
        self._spec = spec
        self.decode = self._preprocess = SeriesPreprocessor(spec, scaler)
        self.prepare_each = self._windows

    def prepare(self, sample: Window) -> PreparedWindow:
        """See ``Kind.prepare``."""
        return self._preprocess.window(sample.samples_LC)

    def _windows(self, samples: Sequence[Window]) -> tuple[PreparedWindow, Mapping[int, Exception]]:
        """See ``Kind.prepare_each``."""
        return self._preprocess.windows([window.samples_LC for window in samples])

    def noise(self) -> Samples:
        """See ``Kind.noise``."""
        return standard_noise((1, *self._spec.shape))

    def varied(self) -> list[Images]:
        """See ``Kind.varied``: noise around 0, above it, below it, and faint."""
        noise_CL = self.noise()[0]
        return [noise_CL, noise_CL / 8 + 2, noise_CL / 8 - 2, noise_CL / 4]

    def extremes(self) -> list[Images]:
        """See ``Kind.extremes``."""
        shape = (1, *self._spec.shape)
        return [np.full(shape, level, np.float32) for level in (-_FAR, _FAR)]

    def golden(self, data: bytes) -> Images:
        """See ``Kind.golden``; ``data``: a window in NumPy's file format."""
        return self._preprocess.window(window_of_npy(data)).tensor[np.newaxis]
