"""Builds a version folder from an exported model: manifest, golden samples, card, plots."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from schemas.manifest.model_input import Colour, Dtype, InputSpec, Layout, ShorterSide
from schemas.manifest.model_output import OutputSpec
from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Accuracy,
    Calibration,
    GoldenPrediction,
    GoldenSample,
    ModelManifest,
)
from training.calibration import abstention_threshold, fit_temperature, reliability, softmax
from training.export import INPUT, OUTPUT
from training.photos import Photo, read_split
from training.recipes.everyday import card, golden, recipe
from training.recipes.everyday.evaluate import (
    Report,
    evaluate,
    labels_of,
    open_session,
    run_photos,
)
from training.schedule import Epoch
from training.views import centre_view

RESULTS = Path(__file__).parent / "results"
DATASET = "Caltech-101 without people (95 classes), CC BY 4.0, doi:10.22002/D1.20086"


def publish(
    folder: Path,
    results: Path,
    data: Path,
    checks: list[Photo],
    names: list[str],
    history: list[Epoch],
) -> None:
    """Calibrate on the validation photos, measure on the test split, write all files."""
    session = open_session(folder / MODEL_FILE)
    labels = labels_of(checks)
    logits = run_photos(session, checks)
    temperature = fit_temperature(logits, labels)
    shares = softmax(logits, temperature)
    threshold = abstention_threshold(shares, labels, recipe.ANSWERED_ACCURACY)
    samples = _write_golden(folder, temperature)
    manifest = ModelManifest(
        name=recipe.NAME,
        version=recipe.VERSION,
        sha256=hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest(),
        description=f"{len(names)} everyday things, animals and places",
        labels=tuple(map(recipe.label, names)),
        input=InputSpec(
            name=INPUT,
            dtype=Dtype.UINT8,
            layout=Layout.NHWC,
            colour=Colour.RGB,
            height=recipe.GEOMETRY.crop,
            width=recipe.GEOMETRY.crop,
            resize=ShorterSide(pixels=recipe.GEOMETRY.resize),
        ),
        output=OutputSpec(name=OUTPUT, kind="logits"),
        temperature=temperature,
        abstain_below=threshold,
        licence="Apache-2.0",
        source="trained by the Potoo project: training/recipes/everyday",
        golden=samples,
    )
    _write(folder, manifest)
    report = evaluate(data, folder)
    accuracy = Accuracy(
        dataset=DATASET,
        split="test",
        photos=report.photos,
        top1=round(report.top1, 4),
        top5=round(report.top5, 4),
        mean_per_class=round(report.mean_per_class, 4),
        expected_calibration_error=round(report.expected_calibration_error, 4),
        notes="one centre view a photo; split by hash of the file name, never used in training",
    )
    calibration = Calibration(
        precision=recipe.ANSWERED_ACCURACY,
        dataset=f"{DATASET}, test split",
        photos=report.photos,
        answered=round(report.answered, 4),
        right=round(report.answered_top1, 4),
        notes="of photos of other things, which it does not know, most are answered all the same",
    )
    manifest = manifest.model_copy(update={"accuracy": (accuracy,), "calibration": calibration})
    _write(folder, manifest)
    worst = _write_results(folder, results, data, names, history, report)
    (folder / card.FILE).write_text(card.model_card(manifest, report, worst))
    print(json.dumps(asdict(report), indent=2))


def _write(folder: Path, manifest: ModelManifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def _write_golden(folder: Path, temperature: float) -> tuple[GoldenSample, ...]:
    """Draw the golden pictures, and store the best three answers to each."""
    session = open_session(folder / MODEL_FILE)
    (folder / "golden").mkdir(exist_ok=True)
    samples = []
    for name, data in golden.pictures().items():
        (folder / "golden" / name).write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            view = centre_view(image.convert("RGB"), recipe.GEOMETRY)
        shares = softmax(session.run(None, {INPUT: view[np.newaxis]})[0], temperature)[0]
        best = np.argsort(-shares)[:3]
        samples.append(
            GoldenSample(
                file=name,
                predictions=tuple(
                    GoldenPrediction(index=int(k), score=round(float(shares[k]), 4)) for k in best
                ),
            )
        )
    return tuple(samples)


def _write_results(
    folder: Path,
    results: Path,
    data: Path,
    names: list[str],
    history: list[Epoch],
    report: Report,
) -> dict[str, float]:
    """The report, the history and three plots beside the recipe.

    Returns:
        Label to share right on the test split, the weakest first.
    """
    results.mkdir(parents=True, exist_ok=True)
    facts = {"report": asdict(report), "history": [asdict(line) for line in history]}
    (results / "run.json").write_text(json.dumps(facts, indent=1) + "\n")
    manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    photos = read_split(data / "test.tar", names)
    labels = labels_of(photos)
    logits = run_photos(open_session(folder / MODEL_FILE), photos)
    shares = softmax(logits, manifest.temperature)

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    epochs = [line.epoch for line in history]
    left.plot(epochs, [100 * line.top1 for line in history], color="tab:blue")
    left.set(title="Validation top-1 (averaged weights)", xlabel="epoch", ylabel="%")
    left.grid(alpha=0.3)
    curve = reliability(shares, labels)
    used = curve.weight > 0
    middle.plot([0, 1], [0, 1], "--", color="grey")
    middle.plot(curve.confidence[used], curve.accuracy[used], "o-", color="tab:orange")
    middle.set(
        title=f"Reliability on test (error {report.expected_calibration_error:.3f})",
        xlabel="best score",
        ylabel="share right",
    )
    confidence, hits = shares.max(1), shares.argmax(1) == labels
    order = np.argsort(-confidence)
    share = np.arange(1, len(order) + 1) / len(order)
    right.plot(100 * share, 100 * np.cumsum(hits[order]) / np.arange(1, len(order) + 1))
    right.axvline(100 * report.answered, ls="--", color="grey")
    right.set(
        title="Accuracy of what is answered (dashed: threshold)",
        xlabel="% of photos answered",
        ylabel="% right",
    )
    right.grid(alpha=0.3)
    figure.savefig(results / "evaluation.png", dpi=110)
    plt.close(figure)
    shares_right = [round(float(hits[labels == k].mean()), 3) for k in range(len(names))]
    right_of = dict(zip(map(recipe.label, names), shares_right, strict=True))
    worst = dict(sorted(right_of.items(), key=lambda pair: pair[::-1]))
    (results / "per-class.json").write_text(json.dumps(worst, indent=1) + "\n")
    return worst
