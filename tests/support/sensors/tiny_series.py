"""An ONNX model of one kilobyte that says which of three channels has the largest mean.

Its results can be computed by hand: the logits are the means of the normalised channels.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LABELS = ("first", "second", "third")
LENGTH = 8
SCALE, MEAN, STD = 2.0, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0)


def loudest_graph(*, length: int = LENGTH, batch: str | int = "batch") -> onnx.ModelProto:
    """Input ``samples`` float32 [N, 3, length], output ``logits`` float32 [N, 3]."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["samples", "axes"], ["logits"], keepdims=0)],
        "loudest",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, [batch, 3, length])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.array([2], np.int64), "axes")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests"
    )


def series_input(**changes: object) -> dict[str, object]:
    """The manifest's input of ``loudest_graph``, with some members changed."""
    spec: dict[str, object] = {
        "kind": "series",
        "name": "samples",
        "channels": 3,
        "length": LENGTH,
        "scale": SCALE,
        "mean": MEAN,
        "std": STD,
    }
    return spec | changes


def series_manifest(model: bytes, **changes: object) -> dict[str, object]:
    """The manifest of ``loudest_graph``, with some members changed."""
    manifest: dict[str, object] = {
        "name": "loudest",
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "description": "Which channel is the largest?",
        "labels": LABELS,
        "input": series_input(),
        "output": {"name": "logits", "kind": "logits"},
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    return manifest | changes


def write_series_model(
    repository: Path, graph: onnx.ModelProto | None = None, **changes: object
) -> Path:
    """Write a version of ``loudest_graph`` into a repository; return the version's folder."""
    model = (graph or loudest_graph()).SerializeToString()
    manifest = series_manifest(model, **changes)
    folder = repository / str(manifest["name"]) / str(manifest["version"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def window(seed: int = 0) -> NDArray[np.float32]:
    """A window of noise, float32 [LENGTH, 3]."""
    return np.random.default_rng(seed).normal(5, 3, (LENGTH, 3)).astype(np.float32)


def normalised(samples_LC: NDArray[np.float32]) -> NDArray[np.float32]:
    """The tensor [3, LENGTH] of a window, by the textbook."""
    exact = (samples_LC.astype(np.float64) * SCALE - np.array(MEAN)) / np.array(STD)
    return np.ascontiguousarray(exact.T).astype(np.float32)
