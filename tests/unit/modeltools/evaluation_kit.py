"""A small hierarchy, and images of which the answers are made up by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.model_output import OutputSpec
from schemas.models import ModelManifest
from service.core.hedging import Hedger
from service.modeltools.truth import Truth
from tests.tiny_model import colour_manifest

LABELS = ("tabby", "Egyptian cat", "beagle", "mug", "sky")
GROUPS = {
    "tabby": "cat",
    "Egyptian cat": "cat",
    "beagle": "dog",
    "cat": "animal",
    "dog": "animal",
}
LOGITS = OutputSpec(name="logits", kind="logits")


def hedger(
    *thresholds: float,
    labels: Sequence[str] = LABELS,
    groups: Mapping[str, str] = GROUPS,
    unnamed: tuple[str, ...] = (),
) -> Hedger:
    """With the thresholds of labels, groups, wider groups."""
    manifest = ModelManifest.model_validate(
        colour_manifest(b"")
        | {
            "labels": tuple(labels),
            "groups": dict(groups),
            "abstain_below": next(iter(thresholds), 0),
            "group_thresholds": thresholds[1:],
            "unnamed": unnamed,
        }
    )
    return Hedger(manifest, labels)


def truth(*names: str) -> Truth:
    """Of an image with one of the names in it."""
    return Truth.of(names, LABELS, GROUPS)


def shares(*rows: Sequence[float]) -> NDArray[np.float32]:
    """Probabilities [N, K]."""
    return np.array(rows, np.float32)
