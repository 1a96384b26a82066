"""Files of one version: the manifest, checked against the model file, and the labels."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from schemas.operator_error import first_fault
from service.core.engine.graph_check import ManifestMismatch
from service.core.repository.repository import ModelRefused

_MAX_MANIFEST_BYTES = 4 * 2**20


def read_manifest(folder: Path) -> ModelManifest:
    """Read the manifest of one version, and check its digest against the model file.

    Raises:
        ModelRefused: the manifest or the model file is wrong; the message names the field.
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
        message = f"{folder}: manifest field {first_fault(error, 'manifest')}"
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


def read_labels(folder: Path, manifest: ModelManifest) -> tuple[str, ...]:
    """Return the labels in the order of the model's outputs.

    Raises:
        ManifestMismatch: if the label file cannot be read.
    """
    if not isinstance(manifest.labels, str):
        return manifest.labels
    try:
        text = (folder / manifest.labels).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestMismatch("labels", f"cannot read {manifest.labels}") from error
    return tuple(text.splitlines())
