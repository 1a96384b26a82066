"""Evaluates the exported model: source of every number in the model card."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from training.calibration import reliability, softmax
from training.recipes.turbofan import recipe
from training.recipes.turbofan.data import Channels, Windows, channels_of, folds_of, read
from training.recipes.turbofan.network import features, fit_logistic

RUNS = 300
RESAMPLES = 2000
MODEL_FOLDER = Path("models") / recipe.NAME / str(recipe.VERSION)


@dataclass(frozen=True, slots=True)
class Measured:
    """A share of right answers, 0..1, with its 95 % interval by a bootstrap over engines."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """Shares are 0..1, times milliseconds, sizes bytes."""

    windows: int
    engines: int
    right: Measured
    logistic: Measured
    logistic_trends: Measured
    majority: Measured
    above_logistic: Measured
    mean_per_class: float
    expected_calibration_error: float
    uncalibrated_error: float
    answered: float
    answered_right: float
    run_ms_median: float
    model_bytes: int
    confusion: list[list[int]]


def main() -> None:
    """``python -m training.recipes.turbofan.evaluate --data DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, test.npz")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="version folder")
    arguments = parser.parse_args()
    print(json.dumps(asdict(evaluate(arguments.data, arguments.model)), indent=2))


def evaluate(data: Path, folder: Path) -> Report:
    """Measure the model in ``folder``, and what it is compared with, on the test windows."""
    manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    windows, _ = read(data / "test.npz")
    session = open_session(folder / MODEL_FILE)
    logits = run(session, channels_in(manifest), windows)
    shares = softmax(logits, manifest.temperature)
    labels, best = windows.labels_N, shares.argmax(1)
    right = best == labels
    common, logistic, trends = baselines(data, windows)
    answered = shares.max(1) >= manifest.abstain_below
    classes = range(len(recipe.LABELS))
    return Report(
        windows=len(windows),
        engines=len(np.unique(windows.engines_N)),
        right=_measured(right, windows),
        logistic=_measured(logistic, windows),
        logistic_trends=_measured(trends, windows),
        majority=_measured(common, windows),
        above_logistic=_measured(right.astype(float) - logistic, windows),
        mean_per_class=float(np.mean([right[labels == k].mean() for k in classes])),
        expected_calibration_error=reliability(shares, labels).error,
        uncalibrated_error=reliability(softmax(logits), labels).error,
        answered=float(answered.mean()),
        answered_right=float(right[answered].mean()) if answered.any() else 0.0,
        run_ms_median=_run_ms(session),
        model_bytes=(folder / MODEL_FILE).stat().st_size,
        confusion=[[int((best[labels == k] == j).sum()) for j in classes] for k in classes],
    )


def baselines(data: Path, windows: Windows) -> tuple[NDArray[np.bool_], ...]:
    """Return where three simple rules are right [N].

    The first always answers the class that is commonest in the test windows, its best case. The
    others are logistic regressions: on the mean of each channel in a window, and on means and
    slopes, as the network has them; they are fitted to the network's own windows.
    """
    known = training_windows(data)
    channels = channels_of(known)
    labels, common = windows.labels_N, np.bincount(windows.labels_N).argmax()
    of_training = channels.normalised(known.samples_NLC)
    of_test = channels.normalised(windows.samples_NLC)
    rules = (_means, features)
    found = [
        fit_logistic(rule(of_training), known.labels_N)(rule(of_test)).argmax(1) for rule in rules
    ]
    return labels == common, *(answers == labels for answers in found)


def _means(samples_NCL: NDArray[np.float64]) -> NDArray[np.float64]:
    means_NC: NDArray[np.float64] = samples_NCL.mean(2)
    return means_NC


def training_windows(data: Path) -> Windows:
    """Return the windows of the engines that weights are fitted to."""
    windows, _ = read(data / "train.npz")
    return windows.where(~folds_of(windows, recipe.SEED)[0])


def channels_in(manifest: ModelManifest) -> Channels:
    """Return the channels as the manifest has them."""
    spec = manifest.series_input
    mean, std = np.array(spec.mean), np.array(spec.std)
    return Channels(mean, std, std != 1)


def open_session(model: Path) -> ort.InferenceSession:
    """The model on one core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, channels: Channels, windows: Windows) -> NDArray[np.float32]:
    """Return the logits [N, K] of windows."""
    tensors = channels.normalised(windows.samples_NLC).astype(np.float32)
    logits: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: tensors})[0]
    return logits


def _measured(values_N: NDArray[np.generic], windows: Windows) -> Measured:
    """Return the mean of a value of each window; engines, not windows, are independent."""
    _, engine_N = np.unique(windows.engines_N, return_inverse=True)
    sums_E, counts_E = np.bincount(engine_N, values_N.astype(float)), np.bincount(engine_N)
    count = len(counts_E)
    drawn = np.random.default_rng(recipe.SEED).integers(0, count, (RESAMPLES, count))
    means = sums_E[drawn].sum(1) / counts_E[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Measured(float(values_N.astype(float).mean()), float(low), float(high))


def _run_ms(session: ort.InferenceSession) -> float:
    """Median milliseconds of runs of one window on one core, after a warm-up."""
    tensor = np.zeros((1, recipe.CHANNELS, recipe.LENGTH), np.float32)
    feed = {session.get_inputs()[0].name: tensor}
    times = []
    for _ in range(RUNS + 20):
        began = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - began) * 1000)
    return float(np.median(times[20:]))


if __name__ == "__main__":
    main()
