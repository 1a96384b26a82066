"""INT8 graphs agree with the original, on every processor."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from observability.onnx_runtime import ort
from service.core.engine.onnx_engine import OnnxEngine
from service.modeltools.optimising.calibrating import Calibration, Ranges, collect
from service.modeltools.optimising.progress import NotOptimised
from service.modeltools.optimising.quantising import prepared, quantise, write_quantised
from tests.support.models.one_convolution import bright_images, graph_manifest, write_graph

FILTERS = 8
Images = NDArray[np.float32]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """With weights of 8 bits and bright images, two products do not fit into 16 bits."""
    return write_graph(tmp_path / "bright.onnx", (FILTERS, 3, 3, 3))


def convolution_weights(model: Path) -> NDArray[np.int32]:
    (found,) = (
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(str(model)).graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    )
    return found.astype(np.int32)


def answers(model: Path, images: list[Images]) -> NDArray[np.float32]:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"images": image})[0] for image in images])


def test_quantised_products_do_not_overflow(graph: Path, tmp_path: Path) -> None:
    images, target = bright_images(20), tmp_path / "int8.onnx"
    quantise(graph, target, "images", images, lambda *_: None)
    np.testing.assert_allclose(answers(target, images), answers(graph, images), rtol=0.03)
    # A processor without VNNI, which need not be this one, adds two products in 16 bits.
    assert 2 * 255 * np.abs(convolution_weights(target)).max() < 2**15


def test_convolution_weights_use_seven_bits(graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "int8.onnx"
    quantise(graph, target, "images", bright_images(20), lambda *_: None)
    assert np.abs(convolution_weights(target)).max() == 64


def test_depthwise_weights_use_eight_bits(tmp_path: Path) -> None:
    images, target = bright_images(20), tmp_path / "int8.onnx"
    source = write_graph(tmp_path / "deep.onnx", (3, 1, 3, 3), group=3)
    quantise(source, target, "images", images, lambda *_: None)
    assert np.abs(convolution_weights(target)).max() == 127
    np.testing.assert_allclose(answers(target, images), answers(source, images), rtol=0.03)


def test_eight_bit_weights_run_precisely_in_the_engine(graph: Path, tmp_path: Path) -> None:
    images, target = bright_images(20), tmp_path / "int8.onnx"
    quantise(graph, target, "images", images, lambda *_: None, weight_bits=8)
    assert np.abs(convolution_weights(target)).max() == 127
    engine = OnnxEngine(target, graph_manifest())
    # This processor may have VNNI; without it, this setting keeps the sums from saturating.
    options = engine._session.get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == "1"
    found = np.concatenate([engine.run(image) for image in images])
    np.testing.assert_allclose(found, answers(graph, images).reshape(found.shape), rtol=0.03)


def test_quantising_reports_progress_and_keeps_the_log_level(graph: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    level = logging.getLogger().level
    quantise(graph, tmp_path / "a", "images", bright_images(3), lambda *what: told.append(what))
    assert told == [("calibrating", number, 3) for number in (1, 2, 3)]
    assert logging.getLogger().level == level
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "bright.onnx"]


def test_invalid_graph_cannot_be_quantised(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"none")
    with pytest.raises(NotOptimised, match="cannot be"):
        quantise(
            tmp_path / "none.onnx", tmp_path / "a", "images", bright_images(3), lambda *_: None
        )


def test_float_ends_leave_the_first_and_the_last_layer(tmp_path: Path) -> None:
    source = chain(tmp_path / "chain.onnx", 3)
    found = collect_ranges(source, tmp_path)
    for float_ends, quantised in ((False, 3), (True, 1)):
        target = tmp_path / f"{float_ends}.onnx"
        with prepared(source, tmp_path / "graph") as graph:
            write_quantised(graph, target, found, float_ends=float_ends)
        assert len(int8_weights(target)) == quantised
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "False.onnx",
        "True.onnx",
        "chain.onnx",
    ]


def test_weights_are_symmetric(graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "int8.onnx"
    quantise(graph, target, "images", bright_images(3), lambda *_: None)
    model = onnx.load(str(target)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.initializer}
    (points,) = (
        constants[node.input[2]]
        for node in model.node
        if node.op_type == "DequantizeLinear"
        and constants.get(node.input[0], np.zeros(1)).ndim == 4
    )
    assert points.shape == (FILTERS,), "a scale for each channel"
    assert not points.any()


def chain(file: Path, layers: int) -> Path:
    """Convolutions without names, one after another."""
    dice = np.random.default_rng(0)
    nodes, weights, last = [], [], "images"
    for number in range(layers):
        shape = (3, 3, 3, 3)
        weights.append(
            numpy_helper.from_array(dice.standard_normal(shape, np.float32), f"weights{number}")
        )
        nodes.append(helper.make_node("Conv", [last, f"weights{number}"], [f"maps{number}"]))
        last = f"maps{number}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["logits"]))
    made = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, 1, 1])],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(file))
    return file


def collect_ranges(source: Path, folder: Path) -> Ranges:
    with prepared(source, folder / "graph") as graph:
        found = collect(graph, "images", bright_images(3), lambda *_: None)
    return {name: one.range_by(Calibration.MINMAX) for name, one in found.items()}


def int8_weights(model: Path) -> list[str]:
    return [
        tensor.name
        for tensor in onnx.load(str(model)).graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
