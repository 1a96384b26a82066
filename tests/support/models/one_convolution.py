"""A graph with one convolution, its manifest, and images for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from schemas.models import ModelManifest
from tests.support.models.tiny_model import colour_manifest

SIDE = 16
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


def graph_manifest() -> ModelManifest:
    """The manifest of the graph, for the engine."""
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
