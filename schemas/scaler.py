"""References to published scalers: in manifests, queries and commands."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from schemas.classify import MODEL_NAME_PATTERN

SCALER_NAME_PATTERN = rf"{MODEL_NAME_PATTERN.removesuffix('$')}(@[1-9][0-9]{{0,8}})?$"
ScalerName = Annotated[str, StringConstraints(pattern=SCALER_NAME_PATTERN)]
"""``NAME``, for the version that answers by default, or ``NAME@VERSION``."""


def parse_scaler_name(text: ScalerName) -> tuple[str, int | None]:
    """Return the name and the version; None for the version that answers by default."""
    name, _, version = text.partition("@")
    return name, int(version) if version else None
