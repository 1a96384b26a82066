"""Imports that are refused: external paths, unsupported graphs, labels that do not match."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.core.repository.repository import ModelRefused
from service.modeltools.importing.graph_facts import CannotImport
from tests.support.models.tiny_model import LABELS, colour_graph
from tests.support.modeltools.import_kit import bring

Change = Callable[[onnx.ModelProto], object]


def point_at(model: onnx.ModelProto, location: str) -> onnx.ModelProto:
    """Set the path of the weights."""
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    return model


def with_external_weights(tmp_path: Path) -> Path:
    """``some.onnx`` whose weights lie in ``some.onnx.data`` beside it."""
    file = tmp_path / "some.onnx"
    onnx.save(
        colour_graph(),
        str(file),
        save_as_external_data=True,
        location="some.onnx.data",
        size_threshold=0,
    )
    return file


def test_external_weights_are_merged_into_the_model(tmp_path: Path, labels: Path) -> None:
    with_external_weights(tmp_path)
    made = bring(tmp_path, labels)
    assert {path.name for path in made.folder.iterdir()} == {"manifest.json", "model.onnx"}
    assert any("one file" in sentence for sentence in made.unsure)


@pytest.mark.parametrize(
    "location", ["./some.onnx.data", ".//some.onnx.data", "././some.onnx.data"]
)
def test_external_weights_may_be_named_relative_to_the_folder(
    tmp_path: Path, labels: Path, location: str
) -> None:
    file = with_external_weights(tmp_path)
    model = point_at(onnx.load(str(file), load_external_data=False), location)
    made = bring(tmp_path, labels, model)
    weights = onnx.load(str(made.folder / "model.onnx")).graph.initializer
    assert [numpy_helper.to_array(one).tolist() for one in weights] == [[2, 3], [10.0]]


def test_missing_external_weights_are_named(tmp_path: Path, labels: Path) -> None:
    with_external_weights(tmp_path)
    (tmp_path / "some.onnx.data").unlink()
    with pytest.raises(CannotImport, match=r"'some\.onnx\.data', which does not lie beside it"):
        bring(tmp_path, labels)


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "/etc/hostname",
        "a/b",
        "link",
        "./../secret",
        "./a/b",
        "./link",
        "a/../some.onnx.data",
        "..",
        ".",
    ],
)
def test_external_weights_outside_the_folder_are_refused(
    tmp_path: Path, labels: Path, location: str
) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path.parent / "secret").write_bytes(b"\0" * 64)
    file = with_external_weights(tmp_path)
    model = point_at(onnx.load(str(file), load_external_data=False), location)
    with pytest.raises(CannotImport, match="which does not lie beside it"):
        bring(tmp_path, labels, model)


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "org.acme"
    model.opset_import.append(helper.make_opsetid("org.acme", 1))


def hidden_custom(model: onnx.ModelProto) -> None:
    """A custom operator inside a branch."""
    inner = helper.make_graph(
        [helper.make_node("Magic", ["ten"], ["out"], domain="org.acme")],
        "inner",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))  # noqa: FBT003
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["x"], then_branch=inner, else_branch=inner)
    )
    model.opset_import.append(helper.make_opsetid("org.acme", 1))


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def half_floats(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def five_colours(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def no_images(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[3:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (custom, r"custom operators, which are not loaded: org\.acme\.ReduceMean"),
        (hidden_custom, r"custom operators, which are not loaded: org\.acme\.Magic"),
        (two_inputs, r"takes 2 inputs \('image', 'more'\)"),
        (half_floats, "ONNX Runtime cannot load the model|takes tensor"),
        (five_colours, "no axis of 1 or 3 colours"),
        (no_images, "no batch of images|cannot load"),
    ],
)
def test_unservable_graph_is_refused_with_its_reason(
    tmp_path: Path, labels: Path, change: Change, says: str
) -> None:
    graph = colour_graph()
    change(graph)
    with pytest.raises(CannotImport, match=says):
        bring(tmp_path, labels, graph)
    assert not (tmp_path / "models/colours").exists()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"like": None}, "give --like, of imagenet"),
        ({"like": "torch7"}, "--like torch7 is not known"),
        ({"output": "scores"}, "there is no output 'scores', but logits"),
        ({"size": 48}, "--size 48, but the model takes 32"),
        ({"name": "../up"}, "cannot be the name"),
    ],
)
def test_invalid_import_option_is_refused(
    tmp_path: Path, labels: Path, wanted: dict[str, object], says: str
) -> None:
    with pytest.raises((CannotImport, ModelRefused), match=says):
        bring(tmp_path, labels, None, **wanted)
    assert list((tmp_path / "models").glob("*")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "a label a line"),
        (b"red\n\nblue\n", "no empty lines"),
        (b"\xff\n", "cannot be read"),
        (b"red\n", "1 labels, but the model 3 classes"),
        (b"a\nb\nc\nd\n", "4 labels, but the model 3 classes"),
    ],
)
def test_mismatched_labels_are_refused(
    tmp_path: Path, labels: Path, text: bytes, says: str
) -> None:
    labels.write_bytes(text)
    with pytest.raises(CannotImport, match=says):
        bring(tmp_path, labels)


def test_labels_may_have_a_byte_order_mark_and_trailing_lines(tmp_path: Path, labels: Path) -> None:
    labels.write_bytes(b"\xef\xbb\xbfred\r\n green \r\nblue\r\n\r\n")
    assert bring(tmp_path, labels).manifest.labels == LABELS


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x01" * 100, bytes(1000)])
def test_invalid_model_file_is_refused(tmp_path: Path, labels: Path, content: bytes) -> None:
    (tmp_path / "some.onnx").write_bytes(content)
    with pytest.raises(CannotImport):
        bring(tmp_path, labels)


def test_unreadable_or_missing_golden_photo_is_named(tmp_path: Path, labels: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    with pytest.raises(CannotImport, match=r"photo\.jpg: Not a JPEG"):
        bring(tmp_path, labels, golden=(tmp_path / "photo.jpg",))
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        bring(tmp_path, labels, golden=(tmp_path / "nowhere.jpg",))
    assert list((tmp_path / "models").iterdir()) == []
