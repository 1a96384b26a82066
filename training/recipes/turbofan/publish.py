"""Builds the version folder: graph, manifest, golden samples, card, report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from schemas.manifest.model_output import OutputSpec
from schemas.manifest.series import SeriesSpec
from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Accuracy,
    Calibration,
    GoldenPrediction,
    GoldenSample,
    ModelManifest,
)
from training.calibration import abstention_threshold, fit_temperature, softmax
from training.recipes.turbofan import card, golden, recipe
from training.recipes.turbofan.data import Channels, Windows
from training.recipes.turbofan.evaluate import Measured, Report, evaluate, open_session, run
from training.recipes.turbofan.export import INPUT, OUTPUT, export
from training.recipes.turbofan.network import Network

RESULTS = Path(__file__).parent / "results"


def publish(
    folder: Path,
    results: Path,
    data: Path,
    network: Network,
    channels: Channels,
    checks: Windows,
    names: tuple[str, ...],
) -> Report:
    """Calibrate on the validation windows, measure on the test windows, write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = export(network, channels.used_C, folder / MODEL_FILE)
    logits = run(open_session(folder / MODEL_FILE), channels, checks)
    temperature = fit_temperature(logits, checks.labels_N)
    shares = softmax(logits, temperature)
    manifest = ModelManifest(
        name=recipe.NAME,
        version=recipe.VERSION,
        sha256=digest,
        description="Wear of a turbofan engine, from 21 sensors over 30 flights (simulated)",
        labels=recipe.LABELS,
        input=SeriesSpec(
            kind="series",
            name=INPUT,
            channels=recipe.CHANNELS,
            length=recipe.LENGTH,
            mean=tuple(channels.mean_C.tolist()),
            std=tuple(channels.std_C.tolist()),
            channel_names=names,
        ),
        output=OutputSpec(name=OUTPUT, kind="logits"),
        temperature=temperature,
        abstain_below=abstention_threshold(shares, checks.labels_N, recipe.ANSWERED_ACCURACY),
        licence="Apache-2.0",
        source="trained by the Potoo project: training/recipes/turbofan",
        golden=_write_golden(folder, channels, temperature),
    )
    _write(folder, manifest)
    report = evaluate(data, folder)
    manifest = manifest.model_copy(
        update={"accuracy": (_accuracy(report),), "calibration": _calibration(report)}
    )
    _write(folder, manifest)
    (folder / card.FILE).write_text(card.model_card(manifest, report, len(checks)))
    results.mkdir(parents=True, exist_ok=True)
    (results / "run.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
    return report


def _write(folder: Path, manifest: ModelManifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def _accuracy(report: Report) -> Accuracy:
    return Accuracy(
        dataset=recipe.DATASET,
        split="test",
        photos=report.windows,
        top1=round(report.right.share, 4),
        mean_per_class=round(report.mean_per_class, 4),
        expected_calibration_error=round(report.expected_calibration_error, 4),
        notes=f"windows of {report.engines} engines that training never saw; "
        f"95 % interval over engines {_interval(report.right)}; logistic regression on the means "
        f"of a window {report.logistic.share:.1%}, the commonest class {report.majority.share:.1%}",
    )


def _calibration(report: Report) -> Calibration:
    return Calibration(
        precision=recipe.ANSWERED_ACCURACY,
        dataset=f"{recipe.DATASET}, test windows",
        photos=report.windows,
        answered=round(report.answered, 4),
        right=round(report.answered_right, 4),
        notes="temperature and threshold from validation engines, whose classes are as common as "
        "in training",
    )


def _interval(measured: Measured) -> str:
    return f"{measured.low:.1%} to {measured.high:.1%}"


def _write_golden(folder: Path, channels: Channels, temperature: float) -> tuple[GoldenSample, ...]:
    """Draw the golden windows, and store the answers to each."""
    session = open_session(folder / MODEL_FILE)
    (folder / "golden").mkdir(exist_ok=True)
    samples = []
    for name, samples_LC in golden.windows(channels).items():
        np.save(folder / "golden" / name, samples_LC)
        tensor = channels.normalised(samples_LC[np.newaxis]).astype(np.float32)
        shares = softmax(session.run(None, {INPUT: tensor})[0], temperature)[0]
        samples.append(
            GoldenSample(
                file=name,
                predictions=tuple(
                    GoldenPrediction(index=int(k), score=round(float(shares[k]), 4))
                    for k in np.argsort(-shares)
                ),
            )
        )
    return tuple(samples)
