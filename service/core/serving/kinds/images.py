"""The kind of models that take images."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from schemas.errors import Unsupported
from schemas.manifest.model_input import Dtype, InputSpec, Layout
from service.core.engine.engine import Images
from service.core.imaging.preprocessing import Preprocessor
from service.core.serving.checks.noise import noise
from service.core.serving.kinds.kind import SingleItems


class ImageKind(SingleItems):
    """See ``Kind``."""

    item = "image"
    most_together: int | None = None

    def __init__(self, spec: InputSpec, preprocessor: Preprocessor) -> None:
        """``spec``: the manifest's, also if ``preprocessor`` makes pixels for the engine."""
        self._spec = spec
        self.decode = preprocessor

    def prepare(self, sample: object) -> NoReturn:  # noqa: ARG002
        """Refuse what is no encoded image; see ``Kind.prepare``."""
        raise Unsupported(f"The model takes {self._spec.takes}.")

    def noise(self) -> Images:
        """See ``Kind.noise``; each level is as likely as the others."""
        batch: Images = noise((1, *self._spec.shape)).astype(self._spec.dtype)
        return batch

    def varied(self) -> list[Images]:
        """See ``Kind.varied``: noise, a bright, a dark and a faint image."""
        spec = self._spec
        plain = noise(spec.shape)
        pixels = np.stack([plain, plain // 8 + 220, plain // 8, plain // 4 + 96])
        if spec.dtype is Dtype.UINT8:
            return [*pixels]
        channels = (-1, 1, 1) if spec.layout is Layout.NCHW else (-1,)
        mean, std = (
            np.array(given, np.float32).reshape(channels) for given in (spec.mean, spec.std)
        )
        return [*((pixels * np.float32(spec.scale) - mean) / std)]

    def extremes(self) -> list[Images]:
        """See ``Kind.extremes``: unprepared black and white."""
        spec = self._spec
        return [np.full((1, *spec.shape), level, spec.dtype) for level in (0, 255)]

    def golden(self, data: bytes) -> Images:
        """See ``Kind.golden``; ``data``: an encoded image."""
        return self.decode(data).tensor[np.newaxis]
