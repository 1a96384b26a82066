"""A model of bearing faults for tests and benchmarks, built in seconds from measured vibration.

The data (Case Western Reserve University, drive end, 48 kHz) is not part of the project and has no
explicit licence: neither it nor the model is ever shipped. Without it, tests are skipped.

The graph takes windows of 2,048 samples: a bank of windowed cosines and sines (a short-time Fourier
transform as one convolution), the mean power of each frequency, its logarithm in bands, and a
logistic regression that is fitted here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.optimize import minimize

from tests.support.repository import SHARED

DATA = SHARED / "sensors/cwru"
NAME = "bearings"
RATE, LENGTH = 48_000, 2048
TAPS, STRIDE, BANDS = 256, 8, 32
DECAY = 0.001
SILENCE = 1e-9
"""Added to the power before the logarithm."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """Windows float32 [N, LENGTH] at ``RATE`` samples a second; indices [N] of ``names``."""

    windows_NL: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    names: tuple[str, ...]


def is_present() -> bool:
    """Whether the data lies beside the checkout."""
    return (DATA / "train.npz").is_file()


def recordings(part: str) -> Recordings:
    """Read ``train`` or ``test``; skip the test without the data."""
    if not is_present():
        pytest.skip("the recordings of bearings lie beside the checkout on some machines only")
    with np.load(DATA / f"{part}.npz", allow_pickle=False) as found:
        names = tuple(found["names10"].tolist())
        return Recordings(found["windows"], found["label10"].astype(np.int64), names)


def write_bearings_model(repository: Path, name: str = NAME) -> Path:
    """Fit the model and write it into a repository; return the version's folder."""
    train = recordings("train")
    features_NB = _features(train.windows_NL)
    mean_B, std_B = features_NB.mean(0), features_NB.std(0)
    weights_BK, bias_K = _fitted((features_NB - mean_B) / std_B, train.labels_N, len(train.names))
    # The standardisation becomes part of the last product.
    folded_BK = weights_BK / std_B[:, np.newaxis]
    model = _graph(folded_BK, bias_K - mean_B @ folded_BK).SerializeToString()
    manifest: dict[str, object] = {
        "name": name,
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "description": "State of a ball bearing, from its vibration",
        "labels": train.names,
        "input": {
            "kind": "series",
            "name": "vibration",
            "channels": 1,
            "length": LENGTH,
            "channel_names": ["drive end"],
        },
        "output": {"name": "logits", "kind": "logits"},
        "licence": "not to be passed on: the recordings have no explicit licence",
        "source": "fitted by the tests to recordings of Case Western Reserve University",
    }
    folder = repository / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _filters() -> NDArray[np.float64]:
    """Return windowed cosines, then sines: [2 * bins, TAPS]."""
    turns = np.arange(TAPS // 2 + 1)[:, np.newaxis] * np.arange(TAPS) * (2 * np.pi / TAPS)
    return np.concatenate([np.cos(turns), np.sin(turns)]) * np.hanning(TAPS)


def _bands() -> NDArray[np.float64]:
    """Return which of the filters belong to each band: [2 * bins, BANDS]."""
    bins = TAPS // 2 + 1
    band = np.minimum(np.arange(bins) * BANDS // bins, BANDS - 1)
    return np.tile(np.eye(BANDS)[band], (2, 1))


def _features(windows_NL: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logarithm of the power in each band [N, BANDS], as the graph computes it."""
    frames = np.lib.stride_tricks.sliding_window_view(windows_NL, TAPS, 1)[:, ::STRIDE]
    filters = _filters().T
    power = np.stack([np.mean((frame @ filters) ** 2, 0) for frame in frames])
    return np.log(power @ _bands() + SILENCE)


def _fitted(
    features_NB: NDArray[np.float64], labels_N: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a logistic regression; return its weights [BANDS, classes] and bias."""
    count, width = features_NB.shape
    truth_NK = np.eye(classes)[labels_N]

    def loss(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = given[:-classes].reshape(width, classes), given[-classes:]
        logits = features_NB @ weights + bias
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        error = (shares - truth_NK) / count
        likelihood = -np.log(shares[np.arange(count), labels_N] + 1e-300).mean()
        slope = (features_NB.T @ error + DECAY * weights).ravel()
        value = float(likelihood + DECAY / 2 * (weights**2).sum())
        return value, np.concatenate([slope, error.sum(0)])

    begin, options = np.zeros((width + 1) * classes), {"maxiter": 200}
    found: Any = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
    return found[:-classes].reshape(width, classes), found[-classes:]


def _graph(weights_BK: NDArray[np.float64], bias_K: NDArray[np.float64]) -> onnx.ModelProto:
    """Input ``vibration`` float32 [N, 1, LENGTH], output ``logits`` float32 [N, classes]."""
    constants = {
        "filters": _filters()[:, np.newaxis],
        "bands": _bands(),
        "silence": np.array([SILENCE]),
        "weights": weights_BK,
        "bias": bias_K,
    }
    nodes = [
        helper.make_node("Conv", ["vibration", "filters"], ["waves"], strides=[STRIDE]),
        helper.make_node("Mul", ["waves", "waves"], ["powers"]),
        helper.make_node("ReduceMean", ["powers", "time"], ["power"], keepdims=0),
        helper.make_node("MatMul", ["power", "bands"], ["banded"]),
        helper.make_node("Add", ["banded", "silence"], ["audible"]),
        helper.make_node("Log", ["audible"], ["loudness"]),
        helper.make_node("Gemm", ["loudness", "weights", "bias"], ["logits"]),
    ]
    initializers = [
        numpy_helper.from_array(one.astype(np.float32), name) for name, one in constants.items()
    ]
    initializers.append(numpy_helper.from_array(np.array([2], np.int64), "time"))
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("vibration", TensorProto.FLOAT, ["batch", 1, LENGTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias_K)])],
        initializers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests"
    )
