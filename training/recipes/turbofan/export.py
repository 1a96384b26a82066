"""The network as ONNX, in plain operators."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.recipes.turbofan import recipe
from training.recipes.turbofan.network import Network, filters

INPUT, OUTPUT = "samples", "logits"
OPSET, IR_VERSION = 18, 10


def export(network: Network, used_C: NDArray[np.bool_], file: Path) -> str:
    """Write the network, float32 [N, channels, length] to logits [N, K]; return its SHA-256.

    Mean and slope are one convolution for each channel; those of unused channels are zero, so that
    a sensor that never moved in training changes nothing if it moves later.
    """
    basis_BL = filters(recipe.LENGTH)
    taps = basis_BL[np.newaxis] * used_C[:, np.newaxis, np.newaxis]
    weights = {
        "filters": taps.reshape(-1, 1, recipe.LENGTH),
        "hidden": network.hidden_FH,
        "hidden_bias": network.bias_H,
        "out": network.out_HK,
        "out_bias": network.bias_K,
    }
    nodes = [
        helper.make_node("Conv", [INPUT, "filters"], ["trends"], group=recipe.CHANNELS),
        helper.make_node("Flatten", ["trends"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "hidden", "hidden_bias"], ["sums"]),
        helper.make_node("Tanh", ["sums"], ["activations"]),
        helper.make_node("Gemm", ["activations", "out", "out_bias"], [OUTPUT]),
    ]
    shape: list[str | int | None] = ["batch", recipe.CHANNELS, recipe.LENGTH]
    graph = helper.make_graph(
        nodes,
        recipe.NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(recipe.LABELS)])],
        [numpy_helper.from_array(one.astype(np.float32), name) for name, one in weights.items()],
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
