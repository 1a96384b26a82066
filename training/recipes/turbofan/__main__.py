"""``python -m training.recipes.turbofan``: from windows to a model folder that the server loads."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from training.recipes.turbofan import publish, recipe
from training.recipes.turbofan.data import Windows, channels_of, folds_of, read
from training.recipes.turbofan.evaluate import MODEL_FOLDER
from training.recipes.turbofan.network import features, fit, softmax


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="make turbofan",
        description="Train, calibrate, export and evaluate the turbofan classifier.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train, test.npz")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="version folder to write")
    parser.add_argument("--results", type=Path, default=publish.RESULTS, help="folder of numbers")
    parser.add_argument(
        "--choose", action="store_true", help="only compare sizes and decays, by cross-validation"
    )
    arguments = parser.parse_args()
    windows, names = read(arguments.data / "train.npz")
    if arguments.choose:
        for hidden, decay in recipe.CHOICES:
            right, loss = cross_validated(windows, hidden, decay)
            print(
                f"{hidden} units, decay {decay:g}: {right:.1%} right, loss {loss:.4f}", flush=True
            )
        return
    is_check_N = folds_of(windows, recipe.SEED)[0]
    training, checks = windows.where(~is_check_N), windows.where(is_check_N)
    channels = channels_of(training)
    network = fit(features(channels.normalised(training.samples_NLC)), training.labels_N)
    report = publish.publish(
        arguments.out, arguments.results, arguments.data, network, channels, checks, names
    )
    print(json.dumps(asdict(report), indent=2))


def cross_validated(windows: Windows, hidden: int, decay: float) -> tuple[float, float]:
    """Return the share right and the log loss on engines that each fit left out."""
    right, loss = [], []
    for left_out_N in folds_of(windows, recipe.SEED):
        training, checks = windows.where(~left_out_N), windows.where(left_out_N)
        channels = channels_of(training)
        network = fit(
            features(channels.normalised(training.samples_NLC)),
            training.labels_N,
            hidden=hidden,
            decay=decay,
        )
        shares = softmax(network.logits(features(channels.normalised(checks.samples_NLC))))
        right.append(float((shares.argmax(1) == checks.labels_N).mean()))
        loss.append(float(-np.log(shares[np.arange(len(checks)), checks.labels_N]).mean()))
    return float(np.mean(right)), float(np.mean(loss))


if __name__ == "__main__":
    main()
