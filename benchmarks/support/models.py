"""The measured models, each as a model repository of its own.

``everyday`` comes with the project, ``mobilenetv2-fp32`` with the shared data where present.
``imagenet``, of the size of SqueezeNet, and ``imagenet-int8`` are built from the installed weights.
ResNet-50 comes with the ``onnx`` package: its structure, every weight 0.02. Its answers are
meaningless, its cost is real: on one core of an EPYC with ONNX Runtime 1.31, a run takes 39 to 41
ms, as with random weights (39 to 40 ms), so no weights are folded away or denormal.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.manifest.model_input import Colour, Dtype, InputSpec, Layout, ShorterSide
from schemas.manifest.model_output import OutputSpec
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from service.modeltools.imagenet.building import WeightsMissing, weights_file
from service.modeltools.sources.built_in import BUNDLED_MODELS, put
from tests.support import repository

DEFAULT, SHARED, RESNET = "everyday", "mobilenetv2-fp32", "resnet50"
SMALL, INT8 = "imagenet", "imagenet-int8"
ALL = (DEFAULT, SHARED, RESNET)
_RESNET_FILE = "backend/test/data/light/light_resnet50.onnx"


def missing(name: str) -> str | None:
    """Return why a model cannot be measured here, or None."""
    if name == DEFAULT and not (BUNDLED_MODELS / name).is_dir():
        return "it is not in the package"
    if name in {SMALL, INT8}:
        try:
            weights_file()
        except WeightsMissing as error:
            return str(error)
    if name == SHARED and not (repository.SHARED / "models" / name).is_dir():
        return "it is not on this machine"
    if name == RESNET and not _resnet_file().is_file():
        return "the onnx package comes without its test data here"
    return None


@contextmanager
def assembled(name: str) -> Iterator[Path]:
    """Assemble a temporary repository of this model alone, version 1."""
    with TemporaryDirectory() as folder:
        if name == DEFAULT:
            (Path(folder) / name).symlink_to(BUNDLED_MODELS / name)
        elif name in {SMALL, INT8}:
            put(name, Path(folder), lambda _: None, lambda line: print(line, file=sys.stderr))
        elif name == RESNET:
            add_resnet(Path(folder))
        else:
            repository.assemble(Path(folder), (name,))
        yield Path(folder)


def add_resnet(folder: Path) -> None:
    """Add ResNet-50 to a repository, with a manifest, which the package lacks."""
    version = folder / RESNET / "1"
    version.mkdir(parents=True)
    (version / MODEL_FILE).symlink_to(_resnet_file())
    manifest = resnet_manifest(_resnet_file().read_bytes())
    (version / MANIFEST_FILE).write_text(manifest.model_dump_json())


def resnet_manifest(model: bytes) -> ModelManifest:
    """Build the manifest: the usual ImageNet preprocessing; the graph ends in a softmax."""
    return ModelManifest(
        name=RESNET,
        version=1,
        sha256=hashlib.sha256(model).hexdigest(),
        description="The structure of ResNet-50, constant weights",
        labels=tuple(f"class {number}" for number in range(1000)),
        input=InputSpec(
            name="gpu_0/data_0",
            dtype=Dtype.FLOAT32,
            layout=Layout.NCHW,
            colour=Colour.RGB,
            height=224,
            width=224,
            batch=1,
            resize=ShorterSide(pixels=256),
            scale=1 / 255,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
        output=OutputSpec(name="gpu_0/softmax_1", kind="probabilities"),
        licence="Apache-2.0",
        source="the onnx package: " + _RESNET_FILE,
    )


def _resnet_file() -> Path:
    # Located without importing onnx, which is slow.
    spec = find_spec("onnx")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / _RESNET_FILE
