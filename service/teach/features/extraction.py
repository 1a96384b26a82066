"""Computes the features of photos: the base's own preprocessing, and its graph cut short."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from schemas.errors import InferenceFailed, Unsupported
from schemas.models import MODEL_FILE
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import Preprocessor
from service.core.lifecycle.scalers import with_scaler
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.teach.features.penultimate import find
from service.teach.grafting.pruning import cut_at

LIMITS = ImageLimits(max_pixels=89_000_000, max_frames=1000, max_decode_bytes=512 * 2**20)
"""Those of uploads were checked when the photo was added."""
_VIEWS = "the centre"


class Extractor:
    """A base model that gives the features of a photo, in several views.

    Attributes:
        tensor: name of the features in the base's graph.
        width: features of a view, D.
        views: number of views of a photo, V; the first is what the server sees.
        digest: SHA-256, hex, of all that the features depend on: the base's graph and
            preprocessing, the tensor and the views. The key of a cache, with the photo's digest.
    """

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
        manifest = read_manifest(base_folder)
        try:
            manifest, scaler = with_scaler(manifest, base_folder.parent.parent)
            spec = manifest.image_input
        except (ManifestMismatch, Unsupported) as error:
            raise ModelRefused(f"{base_folder}: {error}") from error
        try:
            model = onnx.load(base_folder / MODEL_FILE)
        except DecodeError as error:
            message = f"{base_folder}: {MODEL_FILE} cannot be read"
            raise ModelRefused(message) from error
        found = find(model, tensor)
        cut = cut_at(model, found.tensor)
        cut.graph.output.append(onnx.ValueInfoProto(name=found.tensor))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Its memory is wanted back as soon as it is idle.
        options.enable_cpu_mem_arena = False
        # As the server computes, so that graphs of INT8 give the same numbers.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = ort.InferenceSession(
            cut.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        # It would keep the whole model.
        vars(self._session).pop("_model_bytes", None)
        self._preprocess = Preprocessor(spec, LIMITS, scaler=scaler)
        self._input, self._batch = spec.name, 1 if spec.batch == "dynamic" else spec.batch
        self._pooled = found.pooled
        self.tensor, self.width, self.views = found.tensor, found.width, 1
        facts = (manifest.sha256, spec.model_dump_json(), found.tensor, _VIEWS)
        self.digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def features(self, image: bytes) -> NDArray[np.float32]:
        """Return the features of a photo, float32 [V, D], finite.

        Raises:
            CallerError: the photo cannot be read (unsupported, damaged, too large).
            InferenceFailed: the base fails on it, or its features are not finite.
        """
        one = self._preprocess(image).tensor[np.newaxis]
        tensor = one if self._batch == 1 else np.repeat(one, self._batch, axis=0)
        try:
            (found,) = self._session.run(None, {self._input: tensor})
        except Exception as error:  # ONNX Runtime has no base class for its errors
            raise InferenceFailed from error
        first = np.asarray(found[0], np.float32)
        if self._pooled:
            first = first.mean(axis=(1, 2))
        features_VD = np.ascontiguousarray(first.reshape(1, -1), np.float32)
        if features_VD.shape[1] != self.width or not np.isfinite(features_VD).all():
            raise InferenceFailed
        return features_VD
