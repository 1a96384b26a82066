"""The scaler that a manifest names: found in the repository when the model is loaded.

The model keeps the version that it was loaded with, and its description names it. It is read from
the repository's files, not from the models that are loaded, so that the order of loading makes no
difference.
"""

from __future__ import annotations

from pathlib import Path

from schemas.manifest.any_input import ModelInput
from schemas.manifest.model_input import InputSpec
from schemas.manifest.numeric import NumericSpec, ScalerName, parse_scaler_name
from schemas.manifest.series import SeriesSpec
from schemas.models import MODEL_FILE, ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.numeric.column_map import ColumnMap
from service.core.numeric.scaler_graph import NoScaler, ScalerGraph, read_file
from service.core.repository.repository import ModelRefused, NoSuchModel, Repository
from service.core.repository.serving_policy import target
from service.core.repository.version_files import read_manifest

FIELD = "input.scaler"


def with_scaler(
    manifest: ModelManifest, repository: Path
) -> tuple[ModelManifest, ColumnMap | None]:
    """Return the manifest with the version of its scaler, and the scaler's map; None without one.

    Raises:
        ManifestMismatch: there is no such scaler, it cannot be read, or its columns are not those
            of the model; the message names it.
    """
    spec = manifest.input
    reference = getattr(spec, "scaler", None)
    if reference is None:
        return manifest, None
    version, names, graph = _found(reference, Repository(repository))
    _check_columns(reference, spec, graph.map.columns, names)
    pinned = spec.model_copy(update={"scaler": f"{parse_scaler_name(reference)[0]}@{version}"})
    return manifest.model_copy(update={"input": pinned}), graph.map


def _found(
    reference: ScalerName, repository: Repository
) -> tuple[int, tuple[str, ...], ScalerGraph]:
    """Return the version of a scaler, the names of its columns, and its graph."""
    name, number = parse_scaler_name(reference)
    try:
        versions = repository.versions(name)
        version = number or target(repository.policy(name), versions)
        if version is None or version not in versions:
            reason = f"names '{reference}', but there is no version {version} of that scaler"
            raise ManifestMismatch(FIELD, reason)
        folder = versions[version]
        scaler = read_manifest(folder)
        graph = read_file(folder / MODEL_FILE)
    except NoSuchModel as error:
        reason = f"names '{reference}', but there is no scaler of that name in the repository"
        raise ManifestMismatch(FIELD, reason) from error
    except NoScaler as error:
        reason = f"names '{reference}', but that model is no scaler"
        raise ManifestMismatch(FIELD, reason) from error
    except (ModelRefused, OSError) as error:
        reason = f"names '{reference}', which cannot be read"
        raise ManifestMismatch(FIELD, reason) from error
    spec = scaler.input
    return version, spec.column_names if isinstance(spec, NumericSpec) else (), graph


def _check_columns(reference: str, spec: ModelInput, columns: int, names: tuple[str, ...]) -> None:
    """Raise ``ManifestMismatch`` unless a scaler has a column for each of the model's."""
    wanted, wanted_names, what = _columns(spec)
    if columns != wanted:
        reason = f"'{reference}' has {columns} columns, but the model has {wanted} {what}"
        raise ManifestMismatch(FIELD, reason)
    if names and wanted_names:
        for place, (name, other) in enumerate(zip(names, wanted_names, strict=True)):
            if name != other:
                reason = f"column {place + 1} of '{reference}' is '{name}', but that of the model"
                raise ManifestMismatch(FIELD, f"{reason} is '{other}'")


def _columns(spec: ModelInput) -> tuple[int, tuple[str, ...], str]:
    """Return how many columns a scaler of this input must have, their names, and what they are."""
    if isinstance(spec, InputSpec):
        return spec.colour.channels, (), "channels"
    if isinstance(spec, SeriesSpec):
        return spec.channels, spec.channel_names, "channels"
    if isinstance(spec, NumericSpec):
        return spec.columns, spec.column_names, "columns"
    raise ManifestMismatch(FIELD, f"does not fit {spec.takes}")
