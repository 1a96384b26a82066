"""ONNX models of rows of numbers, of one kilobyte: a scaler of float64, and a classifier."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MEAN, STD = (1e9, -2.0, 0.5), (1.0, 4.0, 0.25)
COLUMNS = len(MEAN)


def scaler_graph(
    *, is_double: bool = True, batch: str | int = "n", columns: int = COLUMNS
) -> onnx.ModelProto:
    """Input ``rows`` [N, columns], output ``scaled`` = (rows - MEAN) / STD, of the same type."""
    kind, dtype = (TensorProto.DOUBLE, np.float64) if is_double else (TensorProto.FLOAT, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["rows", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["scaled"]),
        ],
        "scaler",
        [helper.make_tensor_value_info("rows", kind, [batch, columns])],
        [helper.make_tensor_value_info("scaled", kind, [batch, columns])],
        [
            numpy_helper.from_array(np.array(MEAN, dtype), "mean"),
            numpy_helper.from_array(np.array(STD, dtype), "std"),
        ],
    )
    return model_of(graph)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of one graph."""
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests"
    )


def numeric_input(**changes: object) -> dict[str, object]:
    """The manifest's input of ``scaler_graph``, with some members changed."""
    return {"kind": "numeric", "name": "rows", "columns": COLUMNS} | changes


def scaler_manifest(model: bytes, **changes: object) -> dict[str, object]:
    """The manifest of ``scaler_graph``, with some members changed."""
    manifest: dict[str, object] = {
        "name": "scaler",
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "labels": [],
        "input": numeric_input(),
        "output": {"name": "scaled", "kind": "values"},
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    return manifest | changes


def write_scaler(repository: Path, graph: onnx.ModelProto | None = None, **changes: object) -> Path:
    """Write a version of ``scaler_graph`` into a repository; return the version's folder."""
    model = (graph or scaler_graph()).SerializeToString()
    return write_version(repository, model, scaler_manifest(model, **changes))


def write_version(repository: Path, model: bytes, manifest: dict[str, object]) -> Path:
    """Write both files of a version; return its folder."""
    folder = repository / str(manifest["name"]) / str(manifest["version"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def rows(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows of noise about MEAN, float64 [count, COLUMNS]."""
    return np.random.default_rng(seed).normal(MEAN, STD, (count, COLUMNS))


def scaled(rows_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """The output of the scaler, by the textbook."""
    found: NDArray[np.float64] = (rows_NC - np.array(MEAN)) / np.array(STD)
    return found
