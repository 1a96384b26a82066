"""Import of an ONNX file: facts of the graph, assumptions and their notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.manifest.model_input import Colour, Dtype, Layout, ShorterSide, Squash
from service.core.repository.repository import ModelRefused, Repository
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import LABELS, SIDE, colour_graph, served
from tests.support.modeltools.import_kit import bring, check


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
    sizes: tuple[int | str, ...] = ("n", "h", "w", 3)
    for axis, size in zip(shape.dim, sizes, strict=True):
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
async def test_graph_and_preset_make_a_servable_manifest(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, licence="MIT", source="drawn")
    spec = made.manifest.image_input
    assert (spec.name, spec.dtype, spec.layout) == ("image", Dtype.FLOAT32, Layout.NCHW)
    assert (spec.colour, spec.height, spec.width, spec.batch) == (Colour.RGB, SIDE, SIDE, "dynamic")
    assert made.manifest.output.model_dump() == {
        "name": "logits",
        "kind": "logits",
        "rank": 2,
        "label_offset": 0,
        "thresholds": (),
    }
    assert made.manifest.labels == LABELS
    assert made.folder == tmp_path / "models/colours/1"
    async with served(made.folder) as model:
        answer = await model.classify(plain(GREEN), 1, 1e9, ANYONE)
    assert answer.predictions[0].label == "green"


def test_assumptions_are_reported(tmp_path: Path, labels: Path) -> None:
    told = " ".join(bring(tmp_path, labels).unsure)
    for about in ("RGB", "'0-1'", "logits", "licence", "source", "No golden photos"):
        assert about in told
    told = " ".join(bring(tmp_path, labels, licence="MIT", source="drawn").unsure)
    assert "licence" not in told


def test_version_numbers_increase(tmp_path: Path, labels: Path) -> None:
    numbers = [bring(tmp_path, labels, version=wish).manifest.version for wish in (None, 7, None)]
    assert numbers == [1, 7, 8]
    assert list(Repository(tmp_path / "models").versions("colours")) == [1, 7, 8]


def test_final_softmax_is_detected(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, softmaxed())
    assert (made.manifest.output.name, made.manifest.output.kind) == ("shares", "probabilities")


def test_pixel_input_needs_no_preset(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, turned(), like=None, size=48)
    spec = made.manifest.image_input
    assert (spec.name, spec.dtype, spec.layout) == ("pixels", Dtype.UINT8, Layout.NHWC)
    assert (spec.height, spec.width, spec.is_identity) == (48, 48, True)
    made = bring(tmp_path, labels, turned(), like=None)
    assert made.manifest.image_input.height == 224
    assert any("any size; 224 x 224 is assumed" in sentence for sentence in made.unsure)


def test_fixed_batch_size_is_kept(tmp_path: Path, labels: Path) -> None:
    assert bring(tmp_path, labels, colour_graph(batch=2)).manifest.image_input.batch == 2


def test_extra_class_is_taken_as_background(tmp_path: Path, labels: Path) -> None:
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
def test_presets_match_their_model_families(
    tmp_path: Path,
    labels: Path,
    like: str,
    scale: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    spec = bring(tmp_path, labels, like=like).manifest.image_input
    assert (spec.scale, spec.mean, spec.std) == (scale, mean, std)
    assert isinstance(spec.resize, Squash if like == "tf" else ShorterSide)
    if like == "imagenet":
        assert isinstance(spec.resize, ShorterSide)
        assert spec.resize.pixels == round(SIDE * 256 / 224)


def test_golden_photos_are_stored_with_current_answers(tmp_path: Path, labels: Path) -> None:
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
