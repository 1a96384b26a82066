"""Answers of a model to a photo, computed without a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from schemas.models import MODEL_FILE, ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.version_files import read_labels, read_manifest
from service.modeltools.importing.graph_facts import CannotImport


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo given by the user; ``label``: the expected answer, None if not stated."""

    file: Path
    data: bytes
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """A model loaded to be tried on photos."""

    engine: OnnxEngine
    manifest: ModelManifest
    labels: tuple[str, ...]
    limits: ImageLimits

    def scores(self, photo: Photo) -> NDArray[np.float32]:
        """Return one score a label, [K].

        Raises:
            CannotImport: the photo cannot be read, or the model fails on it.
        """
        prepare = Preprocessor(self.manifest.image_input, self.limits)
        try:
            output_NK = self.engine.run(prepare(photo.data).tensor[np.newaxis])
            shares_NK = probabilities(output_NK, self.manifest.output, self.manifest.temperature)
        except ServiceError as error:
            raise CannotImport(f"{photo.file}: {error.detail}") from error
        shares_K: NDArray[np.float32] = shares_NK[0]
        return shares_K

    def best(self, photo: Photo) -> str:
        """Return the best label and its score, as ``'cat' 81.2%``."""
        scores_K = self.scores(photo)
        index = int(scores_K.argmax())
        return f"'{self.labels[index]}' {scores_K[index]:.1%}"


def answerer(folder: Path, manifest: ModelManifest | None, limits: ImageLimits) -> Answerer:
    """Load the version in a folder.

    Args:
        manifest: None to read the one in the folder.

    Raises:
        CannotImport: the manifest does not fit the graph.
        ModelRefused: the folder has no readable manifest.
    """
    manifest = manifest or read_manifest(folder)
    try:
        labels = read_labels(folder, manifest)
        return Answerer(OnnxEngine(folder / MODEL_FILE, manifest), manifest, labels, limits)
    except ManifestMismatch as error:
        raise CannotImport(str(error)) from error
