"""Running a version on images: usable ones, and a note for each of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.operator_error import OperatorError
from service.core.repository.repository import ModelRefused
from service.modeltools.measuring.running import (
    NothingToMeasure,
    Observed,
    evaluate,
    observe,
    open_version,
)
from service.modeltools.measuring.sample_images import CannotReadImages
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import SIDE, image_limits, write_model, write_multi_label


@pytest.fixture
def version(tmp_path: Path) -> Path:
    groups = {"red": "warm", "green": "cold", "blue": "cold"}
    return write_model(tmp_path / "models", groups=groups, synonyms={"blue": ["azure"]})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return tmp_path / "photos"


def put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def look(
    version: Path,
    source: Path,
    *foreign: Path,
    told: list[str] | None = None,
    most: int = 100,
    seen: list[tuple[str, int, int]] | None = None,
) -> Observed:
    return observe(
        open_version(version),
        source,
        foreign,
        image_limits(),
        lambda *done: (seen if seen is not None else []).append(done),
        (told if told is not None else []).append,
        most,
    )


def test_outputs_match_their_truths(version: Path, photos: Path, tmp_path: Path) -> None:
    put(photos / "red", "a.png", plain(RED))
    put(photos / "Azure", "a.png", plain(BLUE))
    put(photos / "cold", "a.png", plain(GREEN))
    put(photos / "teapot", "a.png", plain(GREEN))
    put(tmp_path / "foreign/red", "b.png", plain((51, 102, 153)))
    seen: list[tuple[str, int, int]] = []
    found = look(version, photos, tmp_path / "foreign", seen=seen)
    by_name = {
        truth.title: [round(float(value), 4) for value in output_K]
        for truth, output_K in zip(found.truths, found.output_NK, strict=True)
    }
    assert by_name == {
        "red": [10, 0, 0],
        "blue": [0, 0, 10],
        "cold": [0, 10, 0],
        "": [2, 4, 6],
    }
    assert found.unreadable == 0
    assert seen == [("running", done, 4) for done in range(1, 5)]


def test_many_images_keep_their_order(version: Path, photos: Path) -> None:
    for number in range(300):
        colour, name = [(RED, "red"), (GREEN, "green"), (BLUE, "blue")][number % 3]
        put(photos / name, f"{number}.png", plain(colour, (8, 8)))
    found = look(version, photos, most=300)
    assert len(found.truths) == 300
    assert evaluate(found).top1.value == 1


def test_unreadable_images_are_named_and_skipped(version: Path, photos: Path) -> None:
    put(photos / "red", "good.png", plain(RED))
    for number in range(7):
        put(photos / "red", f"broken{number}.jpg", b"\xff\xd8\xff no picture")
    put(photos / "red", "cut.png", plain(RED)[:60])
    told: list[str] = []
    found = look(version, photos, told=told)
    assert (len(found.truths), found.unreadable) == (1, 8)
    assert len(told) == 6
    assert all(line.startswith(str(photos / "red")) and "; left out" in line for line in told[:5])
    assert told[5] == "3 more images cannot be read; left out"


def test_images_that_are_all_unreadable_are_refused(version: Path, photos: Path) -> None:
    put(photos / "red", "a.jpg", b"no picture")
    with pytest.raises(NothingToMeasure, match=r"none of the images .* the first: .*a\.jpg: "):
        look(version, photos)


def test_foreign_images_alone_are_refused(version: Path, photos: Path, tmp_path: Path) -> None:
    put(photos / "red", "a.jpg", b"no picture")
    put(tmp_path / "foreign", "b.png", plain(RED))
    with pytest.raises(NothingToMeasure, match="none of the images"):
        look(version, photos, tmp_path / "foreign")


def test_a_folder_without_images_is_refused(version: Path, photos: Path) -> None:
    put(photos, "notes.txt", b"")
    with pytest.raises(NothingToMeasure, match="there are no images in"):
        look(version, photos)


def test_images_without_known_labels_are_refused(version: Path, photos: Path) -> None:
    put(photos / "teapot", "a.png", plain(RED))
    put(photos, "b.png", plain(RED))
    with pytest.raises(NothingToMeasure, match=r"none of the 2 images .* that the model knows"):
        look(version, photos)


def test_an_empty_foreign_folder_is_refused(version: Path, photos: Path, tmp_path: Path) -> None:
    put(photos / "red", "a.png", plain(RED))
    (tmp_path / "foreign").mkdir()
    with pytest.raises(NothingToMeasure, match=r"there are no images in .*foreign"):
        look(version, photos, tmp_path / "foreign")


def test_list_with_wrong_columns_is_refused(version: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,class\na.png,red\n")
    with pytest.raises(CannotReadImages, match="must begin with the line 'file,label'"):
        look(version, tmp_path / "list.csv")


def test_images_above_the_maximum_are_refused(version: Path, photos: Path) -> None:
    for number in range(3):
        put(photos / "red", f"{number}.png", plain(RED))
    with pytest.raises(NothingToMeasure, match="3 images are too many: 2 at most"):
        look(version, photos, most=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {"red": "a", "a": "b", "b": "a"}}, "groups has a cycle"),
        ({"groups": {"teapot": "vessel"}}, "'teapot' is neither a label nor a group"),
        ({"unnamed": ["teapot"]}, "'teapot' is not a label"),
        ({"labels": "gone.txt"}, r"cannot read gone\.txt"),
    ],
)
def test_inconsistent_manifest_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = write_model(tmp_path / "models", None, **changes)
    with pytest.raises(ModelRefused, match=message):
        open_version(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["red", "green"]}, "they make 2 classes, but the graph gives 3"),
        ({"output": {"name": "scores", "kind": "logits"}}, "manifest field output.name"),
    ],
)
def test_manifest_not_matching_the_graph_is_refused(
    tmp_path: Path, photos: Path, changes: dict[str, object], message: str
) -> None:
    folder = write_model(tmp_path / "models", None, **changes)
    put(photos / "red", "a.png", plain(RED))
    with pytest.raises(OperatorError, match=message):
        look(folder, photos)


def shares_graph() -> onnx.ModelProto:
    """The share of each colour in all light: probabilities; undefined for black."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("ReduceSum", ["mean", "channels"], ["sum"], keepdims=1),
        helper.make_node("Div", ["mean", "sum"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.array([1], np.int64), "channels"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_multi_label_model_is_measured_with_a_warning(tmp_path: Path, photos: Path) -> None:
    put(photos / "red", "red.png", plain(RED))
    told: list[str] = []
    found = look(write_multi_label(tmp_path / "models", {}), photos, told=told)
    assert evaluate(found).top1.value == 1
    assert told == ["its labels are not mutually exclusive: only 'right label' is meaningful"]


def test_non_finite_answer_skips_one_image(tmp_path: Path, photos: Path) -> None:
    output = {"name": "logits", "kind": "probabilities"}
    folder = write_model(tmp_path / "models", shares_graph(), output=output)
    put(photos / "red", "black.png", plain((0, 0, 0)))
    put(photos / "red", "red.png", plain(RED))
    told: list[str] = []
    found = look(folder, photos, told=told)
    assert (len(found.truths), found.unreadable) == (1, 1)
    assert told == [f"{photos / 'red/black.png'}: the model's answer is not finite; left out"]
