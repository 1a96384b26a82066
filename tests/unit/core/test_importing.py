"""From an ONNX file to a version: what the graph says, what is assumed and told, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.models import Colour, Dtype, Layout, ShorterSide, Squash
from service.core.graph_facts import CannotImport
from service.core.importing import Imported, Wanted, import_model
from service.core.pool import WorkerPool
from service.core.registry import ModelOptions, load_model
from service.core.repository import ModelRefused, Repository
from service.core.settings import RunSettings
from tests.pictures import BLUE, GREEN, RED, plain
from tests.tiny_model import LABELS, SIDE, colour_graph, image_limits, served

Change = Callable[[onnx.ModelProto], object]


def check(folder: Path) -> None:
    from observability.metrics import Metrics

    pool = WorkerPool("check", 1)
    try:
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1))
        load_model(folder, pool, options, Metrics()).release()
    finally:
        pool.close()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS) + "\n")
    return file


def bring(
    tmp_path: Path, labels: Path, graph: onnx.ModelProto | None = None, **wanted: object
) -> Imported:
    """Adds the colour model, or another graph, to ``tmp_path / "models"``."""
    file = tmp_path / "some.onnx"
    if graph is not None or not file.exists():
        file.write_bytes((graph or colour_graph()).SerializeToString())
    members: dict[str, object] = {"name": "colours", "labels": labels, "like": "0-1"}
    made = Wanted(**{**members, **wanted})  # type: ignore[arg-type]
    return import_model(file, made, tmp_path / "models", image_limits(), check)


def softmaxed() -> onnx.ModelProto:
    graph = colour_graph()
    graph.graph.node.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    graph.graph.output[0].name = "shares"
    return graph


def turned() -> onnx.ModelProto:
    """The same for [N, H, W, 3] of uint8, with any batch, height and width."""
    graph = colour_graph()
    graph.graph.input[0].name = "pixels"
    shape = graph.graph.input[0].type.tensor_type.shape
    kind = graph.graph.input[0].type.tensor_type
    kind.elem_type = TensorProto.UINT8
    for axis, size in zip(shape.dim, ("n", "h", "w", 3), strict=True):
        axis.Clear()
        if isinstance(size, int):
            axis.dim_value = size
        else:
            axis.dim_param = size
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["turned", "white"], ["image"]),
    ]
    kept = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *kept])
    graph.graph.initializer.append(numpy_helper.from_array(np.array([255], np.float32), "white"))
    return graph


@pytest.mark.anyio
async def test_a_graph_and_a_preset_make_a_manifest(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, licence="MIT", source="drawn")
    spec = made.manifest.input
    assert (spec.name, spec.dtype, spec.layout) == ("image", Dtype.FLOAT32, Layout.NCHW)
    assert (spec.colour, spec.height, spec.width, spec.batch) == (Colour.RGB, SIDE, SIDE, "dynamic")
    assert made.manifest.output.model_dump() == {
        "name": "logits",
        "kind": "logits",
        "rank": 2,
        "label_offset": 0,
    }
    assert made.manifest.labels == LABELS
    assert made.folder == tmp_path / "models/colours/1"
    async with served(made.folder) as model:
        answer = await model.classify(plain(GREEN), 1, 1e9)
    assert answer.predictions[0].label == "green"


def test_what_was_assumed_is_told(tmp_path: Path, labels: Path) -> None:
    told = " ".join(bring(tmp_path, labels).unsure)
    for about in ("RGB", "'0-1'", "logits", "licence", "source", "No golden photos"):
        assert about in told
    told = " ".join(bring(tmp_path, labels, licence="MIT", source="drawn").unsure)
    assert "licence" not in told


def test_versions_follow_each_other(tmp_path: Path, labels: Path) -> None:
    numbers = [bring(tmp_path, labels, version=wish).manifest.version for wish in (None, 7, None)]
    assert numbers == [1, 7, 8]
    assert list(Repository(tmp_path / "models").versions("colours")) == [1, 7, 8]


def test_a_softmax_at_the_end_is_noticed(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, softmaxed())
    assert (made.manifest.output.name, made.manifest.output.kind) == ("shares", "probabilities")


def test_pixels_as_they_are_need_no_preset(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, turned(), like=None, size=48)
    spec = made.manifest.input
    assert (spec.name, spec.dtype, spec.layout) == ("pixels", Dtype.UINT8, Layout.NHWC)
    assert (spec.height, spec.width, spec.is_identity) == (48, 48, True)
    made = bring(tmp_path, labels, turned(), like=None)
    assert made.manifest.input.height == 224
    assert any("any size; 224 x 224 is assumed" in sentence for sentence in made.unsure)


def test_a_fixed_batch_is_kept(tmp_path: Path, labels: Path) -> None:
    assert bring(tmp_path, labels, colour_graph(batch=2)).manifest.input.batch == 2


def test_a_class_more_than_labels_is_background(tmp_path: Path, labels: Path) -> None:
    labels.write_text("green\nblue\n")
    made = bring(tmp_path, labels)
    assert made.manifest.output.label_offset == 1
    assert any("background" in sentence for sentence in made.unsure)


@pytest.mark.parametrize(
    ("like", "scale", "mean", "std"),
    [
        ("imagenet", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("0-1", 1 / 255, (0.0,), (1.0,)),
        ("-1..1", 1 / 127.5, (1.0,), (1.0,)),
        ("tf", 1 / 127.5, (1.0,), (1.0,)),
        ("none", 1.0, (0.0,), (1.0,)),
    ],
)
def test_presets_are_what_their_families_do(
    tmp_path: Path,
    labels: Path,
    like: str,
    scale: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    spec = bring(tmp_path, labels, like=like).manifest.input
    assert (spec.scale, spec.mean, spec.std) == (scale, mean, std)
    assert isinstance(spec.resize, Squash if like == "tf" else ShorterSide)
    if like == "imagenet":
        assert isinstance(spec.resize, ShorterSide)
        assert spec.resize.pixels == round(SIDE * 256 / 224)


def test_golden_photos_are_kept_with_the_answers_of_today(tmp_path: Path, labels: Path) -> None:
    photos = []
    for name, colour in (("a red.png", RED), ("blue.png", BLUE)):
        (tmp_path / name).write_bytes(plain(colour))
        photos.append(tmp_path / name)
    made = bring(tmp_path, labels, golden=tuple(photos))
    red, blue = made.manifest.golden
    assert (red.file, red.predictions[0].index) == ("1-a-red.png", 0)
    assert (blue.file, blue.predictions[0].index) == ("2-blue.png", 2)
    assert (made.folder / "golden/1-a-red.png").read_bytes() == plain(RED)
    assert not any("golden" in sentence for sentence in made.unsure)
    check(made.folder)
    (made.folder / "golden/2-blue.png").write_bytes(plain(GREEN))
    with pytest.raises(ModelRefused, match=r"golden\[1\]"):
        check(made.folder)


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


def test_weights_beside_the_model_are_put_into_it(tmp_path: Path, labels: Path) -> None:
    with_external_weights(tmp_path)
    made = bring(tmp_path, labels)
    assert {path.name for path in made.folder.iterdir()} == {"manifest.json", "model.onnx"}
    assert any("one file" in sentence for sentence in made.unsure)


def test_weights_that_are_missing_are_named(tmp_path: Path, labels: Path) -> None:
    with_external_weights(tmp_path)
    (tmp_path / "some.onnx.data").unlink()
    with pytest.raises(CannotImport, match=r"'some\.onnx\.data', which does not lie beside it"):
        bring(tmp_path, labels)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "a/b", "link"])
def test_weights_from_elsewhere_are_not_read(tmp_path: Path, labels: Path, location: str) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path.parent / "secret").write_bytes(b"\0" * 64)
    file = with_external_weights(tmp_path)
    model = onnx.load(str(file), load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
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
def test_a_graph_that_cannot_be_served_is_refused_by_name(
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
        ({"like": "caffe"}, "--like caffe is not known"),
        ({"output": "scores"}, "there is no output 'scores', but logits"),
        ({"size": 48}, "--size 48, but the model takes 32"),
        ({"name": "../up"}, "cannot be the name"),
    ],
)
def test_what_is_said_wrongly_is_refused(
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
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, labels: Path, text: bytes, says: str
) -> None:
    labels.write_bytes(text)
    with pytest.raises(CannotImport, match=says):
        bring(tmp_path, labels)


def test_labels_may_end_in_empty_lines_and_begin_with_a_mark(tmp_path: Path, labels: Path) -> None:
    labels.write_bytes(b"\xef\xbb\xbfred\r\n green \r\nblue\r\n\r\n")
    assert bring(tmp_path, labels).manifest.labels == LABELS


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x01" * 100, bytes(1000)])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, labels: Path, content: bytes) -> None:
    (tmp_path / "some.onnx").write_bytes(content)
    with pytest.raises(CannotImport):
        bring(tmp_path, labels)


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path, labels: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    with pytest.raises(CannotImport, match=r"photo\.jpg: Not a JPEG"):
        bring(tmp_path, labels, golden=(tmp_path / "photo.jpg",))
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        bring(tmp_path, labels, golden=(tmp_path / "nowhere.jpg",))
    assert list((tmp_path / "models").iterdir()) == []
