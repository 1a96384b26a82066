"""Classifiers of ``colour_graph``'s shapes whose rows are not independent, or not repeatable."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.support.models.tiny_model import SIDE


def _graph(
    nodes: list[onnx.NodeProto], batch: str | int = "batch", **constants: NDArray[np.generic]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "dependent",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=10, producer_name="tests"
    )


def centred_on_batch(batch: str | int = "batch") -> onnx.ModelProto:
    """Subtracts half of the batch's mean."""
    return _graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Mul", ["mean", "half"], ["less"]),
            helper.make_node("Sub", ["pooled", "less"], ["centred"]),
            helper.make_node("Flatten", ["centred"], ["logits"]),
        ],
        batch,
        half=np.array(0.5, np.float32),
    )


def in_training_mode(batch: str | int = "batch") -> onnx.ModelProto:
    """Batch normalisation in training mode; ONNX Runtime updates the statistics at every run."""
    return _graph(
        [
            helper.make_node(
                "BatchNormalization",
                ["image", "ones", "zeros", "zeros", "ones"],
                ["normal", "mean", "variance"],
                training_mode=1,
            ),
            helper.make_node("Relu", ["normal"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["logits"]),
        ],
        batch,
        ones=np.ones(3, np.float32),
        zeros=np.zeros(3, np.float32),
    )


def reshaped_to_one_row() -> onnx.ModelProto:
    """The batch size 1 of its export is a constant of the graph."""
    return _graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Reshape", ["pooled", "shape"], ["logits"]),
        ],
        shape=np.array([1, 3], np.int64),
    )


def summed_over_rows() -> onnx.ModelProto:
    """Returns one row for any batch."""
    return _graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Flatten", ["mean"], ["logits"]),
        ],
    )


def with_dropout() -> onnx.ModelProto:
    """Dropout in training mode: a different result each time."""
    return _dropping(helper.make_node("Dropout", ["image", "ratio", "training"], ["dropped"]))


def with_late_dropout() -> onnx.ModelProto:
    """Dropout in training mode behind another node."""
    return _dropping(
        helper.make_node("Relu", ["image"], ["positive"]),
        helper.make_node("Dropout", ["positive", "ratio", "training"], ["dropped"]),
    )


def with_dropout_mask() -> onnx.ModelProto:
    """Dropout in training mode, whose mask is used, so that ONNX Runtime never removes the node."""
    return _dropping(
        helper.make_node("Dropout", ["image", "ratio", "training"], ["some", "mask"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["some", "kept"], ["dropped"]),
    )


def _dropping(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Return a graph of nodes that make ``dropped`` of ``image``, and the mean of a channel."""
    return _graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", ["dropped"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Mul", ["flat", "ratio"], ["logits"]),
        ],
        ratio=np.array(0.5, np.float32),
        training=np.ones((), np.bool_),
    )
