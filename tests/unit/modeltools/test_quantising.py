"""INT8 graphs answer as the original does, on every processor."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.modeltools.quantising import NotOptimised, quantise

SIDE, FILTERS = 16, 8
Images = NDArray[np.float32]


def bright_images(count: int) -> list[Images]:
    dice = np.random.default_rng(1)
    return [
        (1 - 0.1 * dice.random((1, 3, SIDE, SIDE), np.float32)).astype(np.float32)
        for _ in range(count)
    ]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A convolution whose weights are nearly all at the end of their range, and a mean.

    With weights of 8 bits and bright images, two products do not fit into 16 bits.
    """
    dice = np.random.default_rng(0)
    weights = (1 - 0.02 * dice.random((FILTERS, 3, 3, 3))).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["logits"]),
    ]
    shape: list[str | int | None] = ["N", 3, SIDE, SIDE]
    made = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", FILTERS, 1, 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(tmp_path / "bright.onnx"))
    return tmp_path / "bright.onnx"


def answers(model: Path, images: list[Images]) -> NDArray[np.float32]:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"images": image})[0] for image in images])


def test_sums_of_products_fit_on_every_processor(graph: Path, tmp_path: Path) -> None:
    images, target = bright_images(20), tmp_path / "int8.onnx"
    quantise(graph, target, "images", images, lambda *_: None)
    np.testing.assert_allclose(answers(target, images), answers(graph, images), rtol=0.03)


def test_weights_keep_to_seven_bits(graph: Path, tmp_path: Path) -> None:
    target = tmp_path / "int8.onnx"
    quantise(graph, target, "images", bright_images(20), lambda *_: None)
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load(str(target)).graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) == 1
    assert np.abs(weights[0].astype(int)).max() == 64


def test_quantising_tells_its_progress_and_leaves_logging_alone(
    graph: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    level = logging.getLogger().level
    quantise(graph, tmp_path / "a", "images", bright_images(3), lambda *what: told.append(what))
    assert told == [("calibrating", number, 3) for number in (1, 2, 3)]
    assert logging.getLogger().level == level
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "bright.onnx"]


def test_what_is_no_graph_cannot_be_quantised(tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"none")
    with pytest.raises(NotOptimised, match="cannot be"):
        quantise(
            tmp_path / "none.onnx", tmp_path / "a", "images", bright_images(3), lambda *_: None
        )
