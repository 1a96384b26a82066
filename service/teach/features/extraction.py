"""Computes the features of photos: the base's own preprocessing, and its graph cut short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Extractor:
    """A base model that gives the features of a photo, in several views.

    Attributes:
        tensor: name of the features in the base's graph.
        width: features of a view, D.
        views: number of views of a photo, V; the first is what the server sees.
        digest: SHA-256, hex, of all that the features depend on: the base's graph and
            preprocessing, the tensor and the views. The key of a cache, with the photo's digest.
    """

    tensor: str
    width: int
    views: int
    digest: str

    def __init__(self, base_folder: Path, tensor: str | None = None, *, threads: int = 1) -> None:
        """Cut the graph of a version.

        Args:
            base_folder: folder of a version: ``model.onnx`` and ``manifest.json``.
            tensor: name of the tensor to take as features, instead of the penultimate.
            threads: cores of one run.

        Raises:
            ModelRefused: the manifest or the model file is wrong.
            NoFeatures: the graph has no such tensor.
        """
        raise NotImplementedError

    def features(self, image: bytes) -> NDArray[np.float32]:
        """Return the features of a photo, float32 [V, D], finite.

        Raises:
            CallerError: the photo cannot be read (unsupported, damaged, too large).
            InferenceFailed: the base fails on it, or its features are not finite.
        """
        raise NotImplementedError
