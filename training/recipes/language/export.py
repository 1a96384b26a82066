"""The network as ONNX, in plain operators."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.recipes.language import recipe
from training.recipes.language.network import Network

IDS, MASK, OUTPUT = "ids", "mask", "logits"
OPSET, IR_VERSION = 18, 10


def export(network: Network, file: Path) -> str:
    """Write the network, int64 ids and mask [N, L] to logits [N, K]; return its SHA-256."""
    weights = {
        "tokens": network.tokens_VH,
        "hidden_bias": network.bias_H,
        "out": network.out_HK,
        "out_bias": network.bias_K,
        "one": np.float32(1),
    }
    constants = [
        *(
            numpy_helper.from_array(np.asarray(one, np.float32), name)
            for name, one in weights.items()
        ),
        numpy_helper.from_array(np.array([1], np.int64), "along_tokens"),
        numpy_helper.from_array(np.array([2], np.int64), "last_axis"),
    ]
    nodes = [
        helper.make_node("Gather", ["tokens", IDS], ["embedded"]),
        helper.make_node("Cast", [MASK], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last_axis"], ["column"]),
        helper.make_node("Mul", ["embedded", "column"], ["known"]),
        helper.make_node("ReduceSum", ["known", "along_tokens"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "along_tokens"], ["count"], keepdims=1),
        helper.make_node("Max", ["count", "one"], ["at_least_one"]),
        helper.make_node("Sqrt", ["at_least_one"], ["root"]),
        helper.make_node("Div", ["sums", "root"], ["scaled"]),
        helper.make_node("Add", ["scaled", "hidden_bias"], ["moved"]),
        helper.make_node("Tanh", ["moved"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "out", "out_bias"], [OUTPUT]),
    ]
    shape: list[str | int | None] = ["batch", "length"]
    graph = helper.make_graph(
        nodes,
        recipe.NAME,
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in (IDS, MASK)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(recipe.LABELS)])],
        constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="potoo",
    )
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    file.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
