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
from schemas.models import ModelManifest
from service.core.engine.onnx_engine import OnnxEngine
from service.modeltools.optimising.quantising import NotOptimised, quantise
from tests.support.models.tiny_model import colour_manifest

SIDE, FILTERS = 16, 8
Images = NDArray[np.float32]


def bright_images(count: int) -> list[Images]:
    dice = np.random.default_rng(1)
    return [
        (1 - 0.1 * dice.random((1, 3, SIDE, SIDE), np.float32)).astype(np.float32)
        for _ in range(count)
    ]


def write_graph(file: Path, weights_shape: tuple[int, ...], group: int = 1) -> Path:
    """A convolution whose weights are nearly all at the end of their range, and a mean."""
    dice = np.random.default_rng(0)
    weights = (1 - 0.02 * dice.random(weights_shape)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["maps"], group=group),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["logits"]),
    ]
    shape: list[str | int | None] = ["N", 3, SIDE, SIDE]
    classes: list[str | int | None] = ["N", weights_shape[0], 1, 1]
    made = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, classes)],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(file))
    return file


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


def manifest() -> ModelManifest:
    """The manifest members that the engine needs."""
    described = colour_manifest(b"")
    described["input"] = {
        "name": "images",
        "dtype": "float32",
        "layout": "NCHW",
        "colour": "RGB",
        "height": SIDE,
        "width": SIDE,
        "resize": {"policy": "squash"},
    }
    described["output"] = {"name": "logits", "kind": "logits", "rank": 4}
    return ModelManifest.model_validate(described)


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
    engine = OnnxEngine(target, manifest())
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
