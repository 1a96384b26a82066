"""Evaluates the exported model: source of every number in the model card.

Needs ONNX Runtime, NumPy and Pillow, not PyTorch.
"""

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
from training.photos import Photo, class_names, read_split
from training.recipes.everyday import recipe
from training.views import centre_view

RUNS = 300
MODEL_FOLDER = Path("models") / recipe.NAME / str(recipe.VERSION)


@dataclass(frozen=True, slots=True)
class Report:
    """Shares are 0..1, times milliseconds, sizes bytes."""

    photos: int
    top1: float
    top5: float
    mean_per_class: float
    expected_calibration_error: float
    uncalibrated_error: float
    answered: float
    answered_top1: float
    run_ms_median: float
    run_ms_best: float
    model_bytes: int


def main() -> None:
    """``python -m training.recipes.everyday.evaluate --data DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with test.tar")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="version folder")
    arguments = parser.parse_args()
    print(json.dumps(asdict(evaluate(arguments.data, arguments.model)), indent=2))


def evaluate(data: Path, folder: Path, split: str = "test") -> Report:
    """Measure the model in ``folder`` on a split that training never used."""
    manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    photos = read_split(data / f"{split}.tar", classes(data))
    session = open_session(folder / MODEL_FILE)
    logits = run_photos(session, photos)
    labels = labels_of(photos)
    shares = softmax(logits, manifest.temperature)
    ranked = np.argsort(-shares, 1)
    right = ranked[:, 0] == labels
    answered = shares.max(1) >= manifest.abstain_below
    run_ms = time_runs(session)
    return Report(
        photos=len(photos),
        top1=float(right.mean()),
        top5=float((ranked[:, :5] == labels[:, None]).any(1).mean()),
        mean_per_class=float(np.mean([right[labels == k].mean() for k in np.unique(labels)])),
        expected_calibration_error=reliability(shares, labels).error,
        uncalibrated_error=reliability(softmax(logits), labels).error,
        answered=float(answered.mean()),
        answered_top1=float(right[answered].mean()) if answered.any() else 0.0,
        run_ms_median=float(np.median(run_ms)),
        run_ms_best=float(np.min(run_ms)),
        model_bytes=(folder / MODEL_FILE).stat().st_size,
    )


def classes(data: Path) -> list[str]:
    """The class folders in the order of the model's outputs."""
    return [name for name in class_names(data / "train.tar") if name not in recipe.LEFT_OUT]


def labels_of(photos: list[Photo]) -> NDArray[np.int64]:
    """Class indices [N]."""
    return np.array([photo.label for photo in photos], np.int64)


def open_session(model: Path) -> ort.InferenceSession:
    """The model on one core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run_photos(session: ort.InferenceSession, photos: list[Photo]) -> NDArray[np.float32]:
    """Logits [N, K] of the centre views."""
    name = session.get_inputs()[0].name
    rows = [
        session.run(None, {name: centre_view(photo.decode(), recipe.GEOMETRY)[np.newaxis]})[0]
        for photo in photos
    ]
    return np.concatenate(rows)


def time_runs(session: ort.InferenceSession) -> NDArray[np.float64]:
    """Milliseconds of single-image runs on one core, after a warm-up."""
    side = recipe.GEOMETRY.crop
    feed = {session.get_inputs()[0].name: np.zeros((1, side, side, 3), np.uint8)}
    times = []
    for _ in range(RUNS + 20):
        began = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - began) * 1000)
    return np.array(times[20:])


if __name__ == "__main__":
    main()
