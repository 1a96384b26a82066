"""Descriptions of a model, as callers may see it: the model list and the full description."""

from __future__ import annotations

from schemas.models import ModelInfo, ModelSummary
from service.core.serving.model import Model


def summary_of(model: Model, *, default: bool) -> ModelSummary:
    """Build the entry of the model list; ``default``: whether it is the default model."""
    manifest = model.manifest
    return ModelSummary(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        classes=len(model.labels),
        ready=model.is_ready,
        default=default,
        calibrated=manifest.calibration is not None,
        input_kind=manifest.input.kind,
    )


def info_of(model: Model, *, default: bool) -> ModelInfo:
    """Describe the model in full."""
    manifest = model.manifest
    return ModelInfo(
        **summary_of(model, default=default).model_dump(),
        sha256=manifest.sha256,
        labels=list(model.labels),
        groups=manifest.groups,
        synonyms=manifest.synonyms,
        unnamed=manifest.unnamed,
        input=manifest.input,
        output=manifest.output,
        temperature=manifest.temperature,
        abstain_below=manifest.abstain_below,
        group_thresholds=manifest.group_thresholds,
        calibration=manifest.calibration,
        licence=manifest.licence,
        source=manifest.source,
        base=manifest.base,
        accuracy=list(manifest.accuracy),
    )
