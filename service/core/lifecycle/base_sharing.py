"""Loading of a taught version with the base that others share, if it answers the same so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from observability.logs.logging import get_logger
from schemas.errors import InferenceFailed
from schemas.manifest.model_input import InputSpec
from schemas.manifest.model_output import OutputSpec
from schemas.models import HEAD_FILE, ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.providers import Provider
from service.core.engine.shared_base import HeadEngine, HeadSession, SharedBases
from service.core.serving.checks.pixel_check import pixel_difference
from service.core.serving.kinds.kind import Kind
from service.core.settings import RunSettings

TOLERANCE = 1e-4
"""Permitted difference of an output, as a share of the largest."""

OpenBase = Callable[[ModelManifest], Engine]
"""Open the version's graph with another output."""


def with_shared_base(
    whole: Engine,
    kind: Kind,
    folder: Path,
    manifest: ModelManifest,
    run: RunSettings,
    bases: SharedBases,
    open_base: OpenBase,
) -> Engine:
    """Return an engine that shares its base; ``whole`` itself if it has none to share. Blocks.

    ``whole`` is closed if another one is returned. A manifest may name a base that its graph does
    not have: the outputs for noise are compared, with the base that other versions use.
    """
    origin = manifest.base
    if origin is None or not origin.features or run.provider is not Provider.CPU:
        return whole
    if not (folder / HEAD_FILE).is_file():
        return whole
    key = origin.sha256, origin.tensor, manifest.input.model_dump_json(), run.threads_per_run
    spec = OutputSpec(name=origin.features, kind="values")
    features = manifest.model_copy(update={"output": spec, "labels": ()})
    try:
        head = HeadSession(folder / HEAD_FILE)
        base = bases.take(key, lambda: open_base(features))
    except ManifestMismatch as error:
        _warn(manifest, str(error))
        return whole
    shared = HeadEngine(bases, key, base, head)
    reason = _difference(whole, shared, kind, manifest)
    if reason is not None:
        shared.close()
        _warn(manifest, reason)
        return whole
    whole.close()
    return shared


def _difference(whole: Engine, shared: Engine, kind: Kind, manifest: ModelManifest) -> str | None:
    """Return how the outputs differ, as a clause; None if they are the same."""
    if whole.takes_pixels != shared.takes_pixels:
        return "the base takes its input in another form"
    if shared.takes_pixels and isinstance(manifest.input, InputSpec):
        reason = pixel_difference(shared, manifest.input)
        if reason is not None:
            return reason
    try:
        for item in kind.varied():
            (part,) = kind.stack([item])
            expected, found = whole.run(part.images), shared.run(part.images)
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            if found.shape != expected.shape:
                return f"the head gives {found.shape[1]} outputs of {expected.shape[1]}"
            if not np.allclose(found, expected, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
                return "the base that it names, with its head, answers otherwise"
    except InferenceFailed as error:
        return f"the graph fails: {error.__cause__}"
    return None


def _warn(manifest: ModelManifest, reason: str) -> None:
    get_logger("models").warning(
        "the base is not shared", model=manifest.name, version=manifest.version, reason=reason
    )
