"""Pixels normalised in the graph are those that NumPy normalises, to the last bit."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from schemas.manifest.model_input import InputSpec
from schemas.manifest.model_output import OutputSpec
from schemas.models import ModelManifest
from service.core.engine import pixel_prefix
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pixel_prefix import NoPixels, with_pixels
from service.core.engine.providers import Provider
from service.core.imaging.preprocessing import TensorConverter, pixel_spec
from tests.support.models.tiny_model import colour_graph, colour_manifest, input_spec
from tests.support.suite.examples import examples

HEIGHT, WIDTH = 12, 16
IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
UNIT = {"scale": 1 / 255}
Changes = dict[str, Any]


def spec_of(**changes: object) -> InputSpec:
    size = {"height": HEIGHT, "width": WIDTH, "dtype": "float32"}
    return input_spec(**size, **changes)


def showing_graph(
    spec: InputSpec, nodes: list[onnx.NodeProto] | None = None, *, opset: int = 13, ir: int = 8
) -> onnx.ModelProto:
    """A graph whose output is its input, flattened; ``nodes`` make ``shown`` of ``image``."""
    classes = int(np.prod(spec.shape))
    batch = "batch" if spec.batch == "dynamic" else spec.batch
    last = helper.make_node("Flatten", ["shown" if nodes else "image"], ["flat"], axis=1)
    graph = helper.make_graph(
        [*(nodes or []), last],
        "showing",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *spec.shape])],
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, [batch, classes])],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, producer_name="tests"
    )


def quantised_graph(spec: InputSpec, scale: float, zero: np.generic) -> onnx.ModelProto:
    model = showing_graph(
        spec,
        [
            helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["shown"]),
        ],
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            numpy_helper.from_array(np.array(zero), "zero"),
        ]
    )
    return model


def manifest_of(spec: InputSpec) -> ModelManifest:
    labels = [f"value {number}" for number in range(int(np.prod(spec.shape)))]
    output = {"name": "flat", "kind": "logits"}
    return ModelManifest.model_validate(
        colour_manifest(b"", input=spec.model_dump(), labels=labels, output=output)
    )


def opened(folder: Path, model: onnx.ModelProto, spec: InputSpec) -> OnnxEngine:
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    return OnnxEngine(file, manifest_of(spec), pixels=True)


def pixels_of(spec: InputSpec, count: int = 2) -> NDArray[np.uint8]:
    """Noise with all levels in all channels, if there is room for them."""
    return np.random.default_rng(0).integers(0, 256, (count, *pixel_spec(spec).shape), np.uint8)


def assert_both_entries_are_equal(engine: OnnxEngine, spec: InputSpec, count: int = 2) -> None:
    pixels = pixels_of(spec, count)
    tensors = np.stack([TensorConverter(spec)(each) for each in pixels]).astype(np.float32)
    assert engine.takes_pixels
    assert engine.no_pixels_reason is None
    by_numpy = engine.run(tensors)
    assert by_numpy.shape[0] == count
    assert np.array_equal(engine.run(pixels), by_numpy)


@pytest.mark.parametrize("batch", ["dynamic", 2, 5])
@pytest.mark.parametrize(
    ("layout", "colour"), list(product(["NCHW", "NHWC"], ["RGB", "BGR", "grey"]))
)
def test_pixels_become_the_same_tensor(
    tmp_path: Path, layout: str, colour: str, batch: str | int
) -> None:
    numbers: Changes = UNIT | {"mean": [0.5], "std": [0.3]} if colour == "grey" else IMAGENET
    spec = spec_of(layout=layout, colour=colour, batch=batch, **numbers)
    engine = opened(tmp_path, showing_graph(spec), spec)
    assert engine.max_batch_size == (None if batch == "dynamic" else batch)
    assert_both_entries_are_equal(engine, spec)
    shown = engine.run(pixels_of(spec))
    expected = [TensorConverter(spec)(each).ravel() for each in pixels_of(spec)]
    assert np.array_equal(shown, expected), "the tensor itself, in the graph's layout"


@examples(60)
@given(
    st.floats(-10, 10).filter(lambda scale: scale != 0),
    st.lists(st.floats(-200, 200), min_size=3, max_size=3),
    st.lists(st.floats(1e-6, 300), min_size=3, max_size=3),
)
def test_any_numbers_give_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, scale: float, mean: list[float], std: list[float]
) -> None:
    spec = spec_of(layout="NCHW", scale=scale, mean=mean, std=std)
    engine = opened(tmp_path_factory.mktemp("model"), showing_graph(spec), spec)
    assert_both_entries_are_equal(engine, spec)


@pytest.mark.parametrize(("opset", "ir"), [(7, 3), (9, 4), (13, 8), (18, 10), (21, 10)])
def test_old_and_new_operators_are_extended(tmp_path: Path, opset: int, ir: int) -> None:
    spec = spec_of(layout="NCHW", colour="BGR", **IMAGENET)
    assert_both_entries_are_equal(
        opened(tmp_path, showing_graph(spec, opset=opset, ir=ir), spec), spec
    )


def test_varying_sizes_are_extended(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **IMAGENET)
    model = showing_graph(spec)
    for number, axis in enumerate(model.graph.input[0].type.tensor_type.shape.dim):
        axis.Clear()
        if number == 2:
            axis.dim_param = "height"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    assert_both_entries_are_equal(opened(tmp_path, model, spec), spec)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("colour", ["RGB", "BGR", "grey"])
def test_pixels_that_are_quantised_to_themselves_are_never_float(
    tmp_path: Path, layout: str, colour: str
) -> None:
    spec = spec_of(layout=layout, colour=colour, **UNIT)
    engine = opened(tmp_path, quantised_graph(spec, 1 / 255, np.uint8(0)), spec)
    assert_both_entries_are_equal(engine, spec)
    made = with_pixels(tmp_path / "model.onnx", spec)
    assert made.is_quantised
    extended = onnx.load_from_string(made.data)
    onnx.checker.check_model(extended)
    assert "Cast" not in {node.op_type for node in extended.graph.node}


@pytest.mark.parametrize(
    ("numbers", "scale", "zero"),
    [
        (IMAGENET, 0.0187, np.uint8(114)),
        (UNIT, 1 / 255, np.int8(-128)),
        (UNIT, 1 / 128, np.uint8(0)),
        ({"scale": 1 / 127.5, "mean": [1.0]}, 2 / 255, np.uint8(128)),
    ],
)
def test_other_quantised_graphs_get_normalised_pixels(
    tmp_path: Path, numbers: Changes, scale: float, zero: np.generic
) -> None:
    spec = spec_of(layout="NCHW", **numbers)
    engine = opened(tmp_path, quantised_graph(spec, scale, zero), spec)
    assert_both_entries_are_equal(engine, spec)
    assert not with_pixels(tmp_path / "model.onnx", spec).is_quantised


def test_quantised_and_another_reader_of_the_input_get_normalised_pixels(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **UNIT)
    model = quantised_graph(spec, 1 / 255, np.uint8(0))
    model.graph.node.append(helper.make_node("Flatten", ["image"], ["other"], axis=1))
    model.graph.node.append(helper.make_node("Add", ["flat", "other"], ["sum"]))
    model.graph.output[0].name = "sum"
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    summed = OutputSpec(name="sum", kind="logits")
    manifest = manifest_of(spec).model_copy(update={"output": summed})
    engine = OnnxEngine(file, manifest, pixels=True)
    assert_both_entries_are_equal(engine, spec)
    assert not with_pixels(file, spec).is_quantised


def test_weights_in_other_files_are_found(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **IMAGENET)
    model = showing_graph(spec, [helper.make_node("Mul", ["image", "weights"], ["shown"])])
    weights = np.random.default_rng(0).random((1, *spec.shape), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
    file = tmp_path / "model.onnx"
    onnx.save(model, file)
    assert (tmp_path / "w.bin").stat().st_size == weights.nbytes
    engine = OnnxEngine(file, manifest_of(spec), pixels=True)
    assert_both_entries_are_equal(engine, spec)


def test_lone_session_takes_pixels_too(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **IMAGENET)
    file = tmp_path / "model.onnx"
    file.write_bytes(showing_graph(spec).SerializeToString())
    engine = OnnxEngine(file, manifest_of(spec), pixels=True, lone_threads=2, worth_seconds=0)
    assert engine.shares_cores
    pixels = pixels_of(spec)
    assert np.array_equal(engine.run(pixels, alone=True), engine.run(pixels))


def test_model_is_not_kept_in_memory_twice(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **IMAGENET)
    engine = opened(tmp_path, showing_graph(spec), spec)
    kept = [value for value in vars(engine._session).values() if isinstance(value, bytes)]
    assert kept == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": "uint8"}, "the graph takes pixels as they are"),
        ({"name": "photo"}, "the graph has no input 'photo'"),
    ],
)
def test_reason_names_what_the_manifest_does_not_allow(
    tmp_path: Path, changes: Changes, reason: str
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(showing_graph(spec_of()).SerializeToString())
    with pytest.raises(NoPixels, match=f"^{reason}$"):
        with_pixels(file, spec_of().model_copy(update=changes))


def test_operators_before_broadcasting_are_not_extended(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW", **IMAGENET)
    engine = opened(tmp_path, showing_graph(spec, opset=6, ir=3), spec)
    assert not engine.takes_pixels
    assert engine.no_pixels_reason == "its operators are of version 6, before 7"
    assert engine.run(np.zeros((1, *spec.shape), np.float32)).shape == (1, HEIGHT * WIDTH * 3)


def test_large_model_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_prefix, "MAX_MODEL_BYTES", 100)
    spec = spec_of(layout="NCHW")
    engine = opened(tmp_path, showing_graph(spec), spec)
    assert engine.no_pixels_reason == "the model has more than 0 MiB"


def test_other_providers_get_tensors(tmp_path: Path) -> None:
    spec = spec_of(layout="NCHW")
    engine = opened(tmp_path, showing_graph(spec), spec)
    assert engine._pixel_model(tmp_path / "model.onnx", spec, Provider.CUDA) is None
    assert engine.no_pixels_reason == "inference.provider is cuda"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "pixels"}, "input.name"),
        ({"dtype": "uint8", "scale": 1}, "input.dtype"),
        ({"colour": "grey"}, "input.colour"),
        ({"height": 16}, "input.height"),
        ({"width": 16}, "input.width"),
        ({"layout": "NHWC"}, "input.layout"),
        ({"batch": 3}, "input.batch"),
    ],
)
def test_mismatched_manifest_is_refused_with_the_same_message(
    tmp_path: Path, changes: Changes, field: str
) -> None:
    graph = colour_graph(batch=2)
    file = tmp_path / "model.onnx"
    file.write_bytes(graph.SerializeToString())
    given = dict(colour_manifest(b"")["input"]) | {"batch": 2} | changes  # type: ignore[call-overload]
    manifest = ModelManifest.model_validate(colour_manifest(b"", input=given))
    messages = []
    for pixels in (False, True):
        with pytest.raises(ManifestMismatch, match=f"manifest field {field}: ") as caught:
            OnnxEngine(file, manifest, pixels=pixels)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_every_cut_of_a_model_is_refused_like_a_damaged_one(tmp_path: Path) -> None:
    data = colour_graph().SerializeToString()
    manifest = ModelManifest.model_validate(colour_manifest(data))
    file = tmp_path / "model.onnx"
    for end in range(0, len(data), 7):
        file.write_bytes(data[:end])
        with pytest.raises(ManifestMismatch):
            OnnxEngine(file, manifest, pixels=True)


@examples(200)
@given(st.data())
def test_changed_bytes_never_raise_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    model = bytearray(colour_graph().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("model") / f"{hashlib.sha256(model).hexdigest()}.onnx"
    file.write_bytes(model)
    spec = ModelManifest.model_validate(colour_manifest(b"")).image_input
    with suppress(NoPixels):
        assert with_pixels(file, spec).given.name == spec.name
