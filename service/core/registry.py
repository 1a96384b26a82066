"""Which models are served: reads a repository folder, checks every manifest, resolves names.

::

    models/<name>/<version>/{model.onnx, manifest.json, golden/, labels.txt}

Names that callers send are looked up in a table and never joined to a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from observability.metrics import Metrics
from schemas.errors import ModelNotFound, NotReady, ServiceError
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from service.core.image_limits import ImageLimits
from service.core.model import Model
from service.core.onnx_engine import ManifestMismatch, OnnxEngine
from service.core.pool import WorkerPool
from service.core.preprocessing import Preprocessor
from service.core.providers import ProviderMissing
from service.core.settings import RunSettings

_MAX_MANIFEST_BYTES = 4 * 2**20


class ModelRefused(Exception):
    """A model that cannot be served; the message names the folder and the field."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is run, and what images it takes."""

    limits: ImageLimits
    run: RunSettings


class Registry:
    """The served models by name. ``default`` answers when a caller names none."""

    def __init__(self, models: dict[str, Model], default: str) -> None:
        self._models, self.default = models, default

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, name: str | None, version: int | None = None) -> Model:
        """The model of that name, or the default one.

        Raises:
            ModelNotFound: no such model, or not in that version.
            NotReady: it does not pass its canary at present.
        """
        model = self.find(name, version)
        if not model.is_ready:
            message = f"The model '{model.ref.name}' is not ready."
            raise NotReady(message, retry_after=5)
        return model

    def find(self, name: str | None, version: int | None = None) -> Model:
        """The same, ready or not.

        Raises:
            ModelNotFound: no such model, or not in that version.
        """
        model = self._models.get(self.default if name is None else name)
        if model is None or version not in (None, model.ref.version):
            raise ModelNotFound
        return model


def find_versions(repository: Path) -> list[Path]:
    """The newest version's folder of every model in a repository, by name.

    Raises:
        ModelRefused: if there is none.
    """
    newest = []
    for folder in sorted(path for path in _children(repository) if path.is_dir()):
        versions = [path for path in _children(folder) if path.name.isdecimal()]
        if versions:
            newest.append(max(versions, key=lambda path: int(path.name)))
    if not newest:
        message = f"no models in {repository} (expected <name>/<version>/{MODEL_FILE})"
        raise ModelRefused(message)
    return newest


def read_manifest(folder: Path) -> ModelManifest:
    """The manifest of one version, its digest checked against the model file.

    Raises:
        ModelRefused: naming the field that is wrong.
    """
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
        if len(text) > _MAX_MANIFEST_BYTES:
            message = f"{folder}: {MANIFEST_FILE} is larger than 4 MiB"
            raise ModelRefused(message)
        manifest = ModelManifest.model_validate_json(text)
        with (folder / MODEL_FILE).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{folder}: {error.strerror}: {Path(error.filename or folder).name}"
        raise ModelRefused(message) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Pydantic names the alternatives of a union too, in brackets or by their type.
        parts = [str(p) for p in first["loc"] if isinstance(p, int) or p.isidentifier()]
        field = ".".join(parts) or "manifest"
        message = f"{folder}: manifest field {field}: {first['msg']}"
        raise ModelRefused(message) from error
    if digest != manifest.sha256:
        message = f"{folder}: manifest field sha256: {MODEL_FILE} has the digest {digest}"
        raise ModelRefused(message)
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        message = (
            f"{folder}: manifest field name: it says {manifest.name}/{manifest.version}, "
            f"but lies in {folder.parent.name}/{folder.name}"
        )
        raise ModelRefused(message)
    return manifest


def load_model(folder: Path, pool: WorkerPool, options: ModelOptions, metrics: Metrics) -> Model:
    """Loads and warms up one version. Blocks; belongs to the event loop's thread.

    Raises:
        ModelRefused: if the manifest does not fit the graph; the message names the field.
    """
    manifest = read_manifest(folder)
    try:
        labels = read_labels(folder, manifest)
        model = Model(
            folder,
            manifest,
            labels,
            Preprocessor(manifest.input, options.limits),
            OnnxEngine(
                folder / MODEL_FILE,
                manifest,
                threads=options.run.threads_per_run,
                lone_threads=options.run.threads_alone or pool.size,
                provider=options.run.provider,
                provider_options=options.run.provider_options,
            ),
            pool,
            options.run.batch_policy,
            metrics.model(manifest.name, manifest.version, manifest.sha256),
        )
        model.warm_up()
    except (ManifestMismatch, ProviderMissing) as error:
        raise ModelRefused(f"{folder}: {error}") from error
    except ServiceError as error:
        reason = error.__cause__ or "its answer is not finite"
        raise ModelRefused(f"{folder}: {MODEL_FILE} cannot run: {reason}") from error
    return model


def read_labels(folder: Path, manifest: ModelManifest) -> tuple[str, ...]:
    """The labels in the order of the model's outputs.

    Raises:
        ManifestMismatch: if their file cannot be read.
    """
    if not isinstance(manifest.labels, str):
        return manifest.labels
    try:
        text = (folder / manifest.labels).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestMismatch("labels", f"cannot read {manifest.labels}") from error
    return tuple(text.splitlines())


def _children(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        message = f"cannot read the model folder {folder}: {error.strerror}"
        raise ModelRefused(message) from error
