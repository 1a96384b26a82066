"""A small label hierarchy, and images with hand-made scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.manifest.model_output import OutputSpec
from schemas.models import ModelManifest
from service.core.imaging.hedging import Hedger
from service.modeltools.measuring.truth import Truth
from tests.support.models.tiny_model import LABELS as COLOURS
from tests.support.models.tiny_model import colour_manifest

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
    """A hedger with thresholds of labels, groups and wider groups."""
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
    """The truth of an image with one of these names."""
    return Truth.of(names, LABELS, GROUPS)


def shares(*rows: Sequence[float]) -> NDArray[np.float32]:
    """Probabilities [N, K]."""
    return np.array(rows, np.float32)


def colour_pictures(folder: Path, count: int, temperature: float = 2, most: float = 9) -> Path:
    """Images for the colour model, in folders named after its labels.

    One colour is stronger than the others, by a logit of 0 to ``most``. It matches the folder as
    often as the model's probability at the given temperature.
    """
    dice = np.random.default_rng(1)
    for number in range(count):
        best, lead = dice.integers(3), dice.uniform(0, most)
        logits = np.full(3, 5 - lead / 2)
        logits[best] += lead
        shares_K = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        place = folder / COLOURS[dice.choice(3, p=shares_K)]
        place.mkdir(parents=True, exist_ok=True)
        red, green, blue = (round(25.5 * float(logit)) for logit in logits)
        Image.new("RGB", (8, 8), (red, green, blue)).save(place / f"{number:04}.png")
    return folder
