"""The model and the windows that sensors are measured with: 2,048 samples of vibration.

The classifier of bearings of the tests and its recordings, where they lie beside the checkout. Else
a network of two convolutions with random weights, and noise: the answers mean nothing then.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.support.sensors import bearings
from tests.support.sensors.bearings import LENGTH

MODEL = bearings.NAME
CLASSES = 10


def samples(count: int = 64) -> NDArray[np.float32]:
    """Return windows of shape [count, LENGTH, 1]."""
    if bearings.is_present():
        found = bearings.recordings("test").windows_NL[:count]
    else:
        found = np.random.default_rng(0).normal(0, 0.1, (count, LENGTH)).astype(np.float32)
    return np.ascontiguousarray(found[..., np.newaxis], np.float32)


def write_model(repository: Path) -> Path:
    """Write the model into a repository; return the version's folder."""
    if bearings.is_present():
        return bearings.write_bearings_model(repository)
    draw = np.random.default_rng(0)
    shapes = {"a": (48, 1, 64), "b": (96, 48, 16), "c": (96, CLASSES)}
    weights = {
        name: draw.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    nodes = [
        helper.make_node("Conv", ["samples", "a"], ["a1"], strides=[8]),
        helper.make_node("Relu", ["a1"], ["a2"]),
        helper.make_node("Conv", ["a2", "b"], ["b1"], strides=[2]),
        helper.make_node("Relu", ["b1"], ["b2"]),
        helper.make_node("ReduceMean", ["b2", "axes"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "c"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        MODEL,
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", 1, LENGTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            *(numpy_helper.from_array(array, name) for name, array in weights.items()),
            numpy_helper.from_array(np.array([2], np.int64), "axes"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    manifest = {
        "name": MODEL,
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "labels": [f"state-{number}" for number in range(CLASSES)],
        "input": {
            "kind": "series",
            "name": "samples",
            "channels": 1,
            "length": LENGTH,
            "std": [0.25],
        },
        "output": {"name": "logits", "kind": "logits"},
        "licence": "Apache-2.0",
        "source": "random weights",
    }
    folder = repository / MODEL / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
