"""``potoo models pull NAME`` and ``potoo models catalogue``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.models import ModelManifest
from service.modeltools.imagenet.names import class_names
from tests.support.servers.file_server import FileServer, file_server
from tests.unit.cli.conftest import Potoo, failed


def thousand_classes() -> bytes:
    """A stand-in for a model of ImageNet: input [N, 3, 224, 224], logits [N, 1000]."""
    weights = np.random.default_rng(0).normal(0, 5, (3, 1000)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        ],
        "thousand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])],
        [
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    content: bytes = helper.make_model(
        graph, opset_imports=opset, ir_version=10
    ).SerializeToString()
    return content


MODEL = thousand_classes()


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server(MODEL) as server:
        yield server


@pytest.fixture
def models(tmp_path: Path, files: FileServer) -> Path:
    """An empty repository with its own catalogue."""
    (tmp_path / "models").mkdir()
    return catalogue(tmp_path / "models", files)


def catalogue(models: Path, files: FileServer, **changes: object) -> Path:
    entry = {
        "url": f"{files.url}/file",
        "sha256": hashlib.sha256(MODEL).hexdigest(),
        "bytes": len(MODEL),
        "like": "efficientnet-lite",
        "labels": "imagenet",
        "licence": "MIT",
        "description": "A stand-in",
    }
    (models / "catalogue.json").write_text(json.dumps({"thousand": {**entry, **changes}}))
    return models


def nothing_came(models: Path) -> bool:
    return not any(path.is_dir() and path.name[0] != "." for path in models.iterdir())


def test_catalogue_name_alone_provides_labels_groups_and_preprocessing(
    potoo: Potoo, models: Path, files: FileServer
) -> None:
    result = potoo("models", "pull", "thousand", "--models", models)
    assert result.exit_code == 0, result.output
    text = (models / "thousand/1/manifest.json").read_text()
    manifest, names = ModelManifest.model_validate_json(text), class_names()
    assert manifest.labels == names.labels
    assert manifest.groups == names.groups
    assert manifest.synonyms == names.synonyms
    assert (manifest.licence, manifest.description) == ("MIT", "A stand-in")
    assert manifest.source == f"{files.url}/file"
    spec = manifest.image_input
    assert (spec.scale, spec.mean, spec.std) == (1, (127,), (128,))
    assert spec.resize.model_dump()["pixels"] == 256
    verified = potoo("models", "verify", "--models", models)
    assert verified.stdout.startswith("thousand\t1\tok\t1000 classes")


def test_options_override_the_catalogue_entry(potoo: Potoo, models: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(1000)))
    said = ("--name", "mine", "--labels", labels, "--like", "0-1", "--licence", "CC0")
    assert potoo("models", "pull", "thousand", *said, "--models", models).exit_code == 0
    manifest = json.loads((models / "mine/1/manifest.json").read_text())
    assert (manifest["labels"][0], manifest["licence"]) == ("class 0", "CC0")
    assert (manifest["groups"], manifest["synonyms"]) == ({}, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "has the digest"),
        ({"bytes": 10}, "and not the 10 that it must have"),
        ({"bytes": 10**6}, "and not the 1000000 that it must have"),
        ({"url": "http://127.0.0.1:1/file"}, "cannot be fetched"),
        ({"labels": None}, "give --labels"),
        ({"like": "resnet"}, "resnet"),
    ],
)
def test_faulty_catalogue_entry_is_reported_and_publishes_nothing(
    potoo: Potoo, models: Path, files: FileServer, changes: dict[str, object], message: str
) -> None:
    catalogue(models, files, **changes)
    failed(potoo("models", "pull", "thousand", "--models", models), message)
    assert nothing_came(models)


def test_misspelt_name_gets_a_suggestion(potoo: Potoo, models: Path) -> None:
    failed(potoo("models", "pull", "thousnd", "--models", models), "did you mean thousand?")
    failed(potoo("models", "pull", "resnet-50", "--models", models), "did you mean resnet50?")


def test_url_without_a_name_is_refused(potoo: Potoo, models: Path, files: FileServer) -> None:
    failed(potoo("models", "pull", f"{files.url}/file", "--models", models), "--name")


def test_shipped_model_is_downloaded_from_the_mirror(
    potoo: Potoo, models: Path, files: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTOO_MODELS_MIRROR", f"{files.url}/mirror/")
    result = potoo("models", "pull", "squeezenet1.1", "--models", models)
    failed(result, "/squeezenet/model/squeezenet1.1-7.onnx answers 404 Not Found")
    assert f"{files.url}/mirror/onnx/models/raw/" in result.stderr
    assert nothing_came(models)


@pytest.mark.parametrize(
    "mirror",
    ["http://mirror.example", "mirror", "https://", "https://a.example/?x", "https://u@a/"],
)
def test_invalid_mirror_url_is_refused(
    potoo: Potoo, models: Path, monkeypatch: pytest.MonkeyPatch, mirror: str
) -> None:
    monkeypatch.setenv("POTOO_MODELS_MIRROR", mirror)
    failed(potoo("models", "pull", "resnet18", "--models", models), "models_mirror: it must be")


def test_catalogue_lists_shipped_and_own_entries(potoo: Potoo, models: Path) -> None:
    rows = potoo("models", "catalogue", "--models", models).stdout.splitlines()
    assert len(rows) == 10
    assert rows[0].split("\t") == [
        *("mobilenetv2", "14.0 MB", "Apache-2.0", "224x224 RGB"),
        "MobileNetV2: small and quick, for a start",
    ]
    assert rows[-1].split("\t") == ["thousand", "0.0 MB", "MIT", "-", "A stand-in"]
    listed = json.loads(potoo("models", "catalogue", "--json", "--models", models).stdout)
    assert [entry["name"] for entry in listed] == [row.split("\t")[0] for row in rows]
    assert listed[0]["bytes"] == 13_964_571
    assert listed[0]["url"].startswith("https://github.com/onnx/models/raw/")
