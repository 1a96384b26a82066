"""The registry: versions, manifests, and errors that name the field."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.errors import ModelNotFound, NotReady
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.core.serving.registry import Registry
from tests.support.models.pictures import RED, encoded, gradient, plain
from tests.support.models.tiny_model import SIDE, colour_graph, colour_manifest, served, write_model

INPUT = dict(colour_manifest(b"")["input"])  # type: ignore[call-overload]
OUTPUT = dict(colour_manifest(b"")["output"])  # type: ignore[call-overload]


async def load(folder: Path) -> None:
    async with served(folder):
        pass


async def refused(folder: Path) -> str:
    """The error of a refused version; the message must name the folder."""
    with pytest.raises(ModelRefused) as caught:
        await load(folder)
    assert str(caught.value).startswith(f"{folder}: ")
    return str(caught.value)


def reshaping_graph() -> onnx.ModelProto:
    """Promises to take any height and width, and fails on all but 32 x 32."""
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reshaping",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(np.array([-1, 3 * SIDE * SIDE], np.int64), "shape"),
            numpy_helper.from_array(np.ones((3 * SIDE * SIDE, 3), np.float32), "weights"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_valid_manifest_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(write_model(tmp_path))
    assert (manifest.name, manifest.version, len(manifest.labels)) == ("colours", 1, 3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"sha256": "short"}, "sha256"),
        ({"labels": ["red", "green"]}, "labels"),
        ({"labels": []}, "labels"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"abstain_below": 1.5}, "abstain_below"),
        ({"abstain_below": float("nan")}, "abstain_below"),
        ({"accuracy": [{"dataset": "d", "split": "s", "photos": 1, "top1": 2}]}, "accuracy.0.top1"),
        ({"input": {**INPUT, "name": "pixels"}}, "input.name"),
        ({"input": {**INPUT, "dtype": "float64"}}, "input.dtype"),
        ({"input": {**INPUT, "layout": "CHW"}}, "input.layout"),
        ({"input": {**INPUT, "colour": "grey"}}, "input.colour"),
        ({"input": {**INPUT, "height": 0}}, "input.height"),
        ({"input": {**INPUT, "width": 16}}, "input.width"),
        ({"input": {**INPUT, "batch": 0}}, "input.batch"),
        ({"input": {**INPUT, "resize": {"policy": "stretch"}}}, "input.resize"),
        ({"input": {**INPUT, "resize": {"policy": "shorter_side", "pixels": 16}}}, "input"),
        ({"input": {**INPUT, "std": [0]}}, "input.std.0"),
        ({"input": {**INPUT, "std": [1, 2]}}, "input"),
        ({"input": {**INPUT, "mean": [float("nan")]}}, "input"),
        ({"input": {**INPUT, "scale": float("inf")}}, "input"),
        ({"input": {**INPUT, "dtype": "uint8"}}, "input"),
        ({"input": {**INPUT, "flip": True}}, "input.flip"),
        ({"output": {**OUTPUT, "name": "scores"}}, "output.name"),
        ({"output": {**OUTPUT, "kind": "probabilities"}}, "output.kind"),
        ({"output": {**OUTPUT, "kind": "scores"}}, "output.kind"),
        ({"output": {**OUTPUT, "rank": 4}}, "output.rank"),
        ({"output": {**OUTPUT, "rank": 5}}, "output.rank"),
        ({"output": {**OUTPUT, "label_offset": 1}}, "labels"),
        ({"output": {**OUTPUT, "label_offset": -1}}, "output.label_offset"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:40],
)
async def test_invalid_manifest_is_refused_naming_the_field(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    message = await refused(write_model(tmp_path, None, **changes))
    assert f"manifest field {field}" in message


@pytest.mark.anyio
async def test_probabilities_declared_as_logits_are_refused(tmp_path: Path) -> None:
    graph = colour_graph()
    graph.graph.node.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    graph.graph.output[0].name = "shares"
    wrong = {**OUTPUT, "name": "shares"}
    assert "manifest field output.kind: " in await refused(
        write_model(tmp_path, graph, output=wrong)
    )
    await load(write_model(tmp_path, graph, output={**wrong, "kind": "probabilities"}))


@pytest.mark.anyio
async def test_temperature_requires_logits(tmp_path: Path) -> None:
    folder = write_model(tmp_path, temperature=2, output={**OUTPUT, "kind": "probabilities"})
    assert "temperature needs output.kind logits" in await refused(folder)


@pytest.mark.anyio
async def test_temperature_must_be_finite(tmp_path: Path) -> None:
    assert "temperature" in await refused(write_model(tmp_path, temperature=float("inf")))


@pytest.mark.anyio
async def test_fixed_batch_must_be_declared_in_the_manifest(tmp_path: Path) -> None:
    assert "manifest field input.batch: " in await refused(
        write_model(tmp_path, colour_graph(batch=1))
    )
    await load(write_model(tmp_path, colour_graph(batch=1), input={**INPUT, "batch": 1}))


@pytest.mark.parametrize(
    ("lies_in", "says"),
    [(("colours", "1"), {"name": "other"}), (("colours", "1"), {"version": 2})],
)
def test_manifest_not_matching_its_folder_is_refused(
    tmp_path: Path, lies_in: tuple[str, str], says: dict[str, object]
) -> None:
    folder = write_model(tmp_path)
    members = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(members | says))
    with pytest.raises(ModelRefused, match=f"but lies in {'/'.join(lies_in)}"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": "\\ud800"}'],
    ids=lambda content: repr(content[:8]),
)
def test_malformed_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_model(tmp_path)
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ModelRefused, match="manifest field"):
        read_manifest(folder)


def test_oversized_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "manifest.json").write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(ModelRefused, match="larger than 4 MiB"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelRefused, match=f"No such file or directory: {name}"):
        read_manifest(folder)


@pytest.mark.anyio
async def test_replaced_model_file_is_refused_with_its_digest(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    other = colour_graph(side=16).SerializeToString()
    (folder / "model.onnx").write_bytes(other)
    message = await refused(folder)
    assert "manifest field sha256" in message
    assert hashlib.sha256(other).hexdigest() in message


@pytest.mark.anyio
async def test_labels_can_be_read_from_a_file(tmp_path: Path) -> None:
    folder = write_model(tmp_path, labels="names.txt")
    (folder / "names.txt").write_bytes("röt\r\ngrün\nblau\n".encode())
    async with served(folder) as model:
        assert model.labels == ("röt", "grün", "blau")


@pytest.mark.anyio
async def test_byte_order_mark_is_not_part_of_a_label(tmp_path: Path) -> None:
    folder = write_model(tmp_path, labels="names.txt")
    (folder / "names.txt").write_bytes("red\ngreen\nblue\n".encode("utf-8-sig"))
    async with served(folder) as model:
        assert model.labels[0] == "red"


@pytest.mark.anyio
@pytest.mark.parametrize("content", [None, b"\xff\n\xff\n\xff\n", b"one\ntwo\n"])
async def test_invalid_labels_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    folder = write_model(tmp_path, labels="names.txt")
    if content is not None:
        (folder / "names.txt").write_bytes(content)
    assert "manifest field labels: " in await refused(folder)


@pytest.mark.parametrize(
    "name",
    ["../labels.txt", "/etc/hostname", "a/b", "..", ".hidden", "a\\b", "x\n", "x\0", "", "a" * 101],
)
def test_file_names_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    golden = [{"file": name, "predictions": [{"index": 0, "score": 1}]}]
    for changes, field in (({"labels": name}, "labels"), ({"golden": golden}, "golden.0.file")):
        with pytest.raises(ModelRefused, match=rf"manifest field {field}"):
            read_manifest(write_model(tmp_path, **changes))


def golden(folder: Path, index: int, score: float) -> dict[str, object]:
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    (folder / "golden" / "red.png").write_bytes(plain(RED))
    return {"file": "red.png", "predictions": [{"index": index, "score": score}]}


@pytest.mark.anyio
async def test_golden_samples_must_match(tmp_path: Path) -> None:
    folder = tmp_path / "colours" / "1"
    await load(write_model(tmp_path, golden=[golden(folder, 0, 0.9999)]))
    message = await refused(write_model(tmp_path, golden=[golden(folder, 0, 0.5)]))
    assert "golden[0]: red.png: class 0 scores 0.9999, not 0.5000 within 0.02" in message
    message = await refused(write_model(tmp_path, golden=[golden(folder, 3, 0.5)]))
    assert "golden[0]: red.png: there is no class 3" in message
    (folder / "golden" / "red.png").write_bytes(encoded(gradient())[:100])
    assert "golden[0]: red.png: The image is truncated" in await refused(folder.resolve())
    (folder / "golden" / "red.png").unlink()
    assert "golden[0]: red.png cannot be read" in await refused(folder)


@pytest.mark.anyio
async def test_model_that_cannot_run_is_refused(tmp_path: Path) -> None:
    small = {**INPUT, "height": 30, "width": 30}
    await refused(write_model(tmp_path, reshaping_graph(), input=small))


@pytest.mark.anyio
async def test_models_are_found_by_exact_name_only(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        registry = Registry({"colours": model}, "colours")
        assert registry.get(None) is registry.get("colours") is model
        assert list(registry) == [model]
        for name in ("other", "", "../colours", "colours/1", "Colours", "colours\0"):
            with pytest.raises(ModelNotFound):
                registry.get(name)
        model.set_ready(ready=False)
        assert registry.find("colours") is model
        with pytest.raises(NotReady) as caught:
            registry.get("colours")
        assert caught.value.retry_after == 5
