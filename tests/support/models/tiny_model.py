"""An ONNX model of one kilobyte that classifies images as mostly red, green or blue.

Its results can be computed by hand: logits are ten times the mean of each channel (0..1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from observability.metrics.metrics import Metrics
from schemas.manifest.model_input import InputSpec
from service.core.engine.pool import WorkerPool
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.resizers import Resizer, best_resizer
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.serving.model import Model
from service.core.settings import RunSettings
from service.core.text.tokenizer import OpenTokenizer, open_tokenizer

LABELS = ("red", "green", "blue")
SIDE = 32
GROUPED: dict[str, object] = {
    "groups": {"green": "cool colour", "blue": "cool colour"},
    "abstain_below": 0.75,
    "group_thresholds": [0.9],
    "synonyms": {"blue": ["azure"]},
}
"""Changes of the manifest that make teal a "cool colour", and perhaps green."""
MEASURED: dict[str, object] = {
    "calibration": {
        "precision": 0.95,
        "dataset": "drawn colours",
        "photos": 645,
        "answered": 0.87,
        "right": 0.96,
    }
}
"""Changes of the manifest as ``potoo models calibrate`` might make them."""


def colour_graph(*, side: int = SIDE, batch: str | int = "batch") -> onnx.ModelProto:
    """Input ``image`` float32 [N, 3, side, side] in 0..1, output ``logits`` float32 [N, 3]."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "ten"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.array([10], np.float32), "ten"),
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests"
    )


def multi_label_graph() -> onnx.ModelProto:
    """Multi-label variant of ``colour_graph``: output ``scores``, sigmoid(10 * mean - 5)."""
    model = colour_graph()
    model.graph.node.extend(
        [
            helper.make_node("Sub", ["logits", "five"], ["centred"]),
            helper.make_node("Sigmoid", ["centred"], ["scores"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([5], np.float32), "five"))
    model.graph.output[0].name = "scores"
    return model


def colour_manifest(model: bytes, **changes: object) -> dict[str, object]:
    """The manifest of ``colour_graph``, with some members changed."""
    manifest: dict[str, object] = {
        "name": "colours",
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "description": "Mostly red, green or blue?",
        "labels": LABELS,
        "input": {
            "name": "image",
            "dtype": "float32",
            "layout": "NCHW",
            "colour": "RGB",
            "height": SIDE,
            "width": SIDE,
            "resize": {"policy": "shorter_side", "pixels": SIDE},
            "scale": 1 / 255,
        },
        "output": {"name": "logits", "kind": "logits"},
        "abstain_below": 0.5,
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    return manifest | changes


def input_spec(**changes: object) -> InputSpec:
    """Input spec: unscaled pixels, 32 x 32 RGB, NHWC, with some members changed."""
    spec: dict[str, object] = {
        "name": "image",
        "dtype": "uint8",
        "layout": "NHWC",
        "colour": "RGB",
        "height": SIDE,
        "width": SIDE,
        "resize": {"policy": "shorter_side", "pixels": 36},
    }
    return InputSpec.model_validate(spec | changes)


def write_model(repository: Path, graph: onnx.ModelProto | None = None, **changes: object) -> Path:
    """Write a version of the colour model into a repository; return the version's folder."""
    model = (graph or colour_graph()).SerializeToString()
    manifest = colour_manifest(model, **changes)
    folder = repository / str(manifest["name"]) / str(manifest["version"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def image_limits(max_pixels: int = 50_000_000, max_frames: int = 10) -> ImageLimits:
    """Image limits for tests."""
    return ImageLimits(max_pixels, max_frames, max_decode_bytes=2**30)


def write_multi_label(repository: Path, output: dict[str, object], **changes: object) -> Path:
    """Write a version of ``multi_label_graph``; ``output``: changes of that part of the manifest."""
    spec = {"name": "scores", "kind": "sigmoid", **output}
    return write_model(
        repository, multi_label_graph(), **{"output": spec, "abstain_below": 0, **changes}
    )


@asynccontextmanager
async def served(
    folder: Path,
    *,
    metrics: Metrics | None = None,
    run: RunSettings | None = None,
    resizer: Resizer | None = None,
    tokenizers: OpenTokenizer = open_tokenizer,
) -> AsyncIterator[Model]:
    """Load and warm up the version in ``folder``, with its own worker."""
    pool = WorkerPool("tiny", 1)
    settings = run or RunSettings(threads_alone=1)
    options = ModelOptions(image_limits(), settings, resizer or best_resizer(), tokenizers)
    try:
        model = load_model(folder, pool, options, metrics or Metrics())
        yield model
        await model.close()
    finally:
        pool.close()
