"""An ONNX model that embeds texts: [number of tokens, mean of their numbers], by WordPiece tokens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.support.models.text.tokenizers import WORD_PIECE

NAME = "embedder"


def write_embedder(repository: Path, name: str = NAME) -> Path:
    """Write the model into a repository; return the folder of the version."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "weights"], ["known"]),
        helper.make_node("ReduceSum", ["known", "axis"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["weights", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("Concat", ["count", "mean"], ["vector"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "length"])
            for one in ("ids", "mask")
        ],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests"
    ).SerializeToString()
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "tokenizer.json").write_text(json.dumps(WORD_PIECE), encoding="utf-8")
    manifest = {
        "name": name,
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "labels": [],
        "input": {"kind": "text", "ids": "ids", "mask": "mask", "max_tokens": 16},
        "output": {"name": "vector", "kind": "values"},
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
