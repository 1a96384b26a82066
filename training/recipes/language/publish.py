"""Builds the version folder: tokens, graph, manifest, golden texts, card, report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.manifest.model_output import OutputSpec
from schemas.manifest.text import TextSpec
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
from training.recipes.language import card, golden, recipe
from training.recipes.language.data import Paragraphs
from training.recipes.language.evaluate import TOKENIZER_FILE, Identifier, Report, evaluate
from training.recipes.language.export import IDS, MASK, OUTPUT, export
from training.recipes.language.network import Network

RESULTS = Path(__file__).parent / "results"


def publish(
    folder: Path, results: Path, data: Path, network: Network, checks: Paragraphs
) -> Report:
    """Calibrate on the validation pages, measure on the test pages, write all files.

    ``folder`` holds the tokenizer's file.
    """
    digest = export(network, folder / MODEL_FILE)
    model = Identifier(folder)
    temperature, threshold = _calibrated(model, checks)
    manifest = ModelManifest(
        name=recipe.NAME,
        version=recipe.VERSION,
        sha256=digest,
        description=f"Language of a text, one of {len(recipe.LABELS)}",
        labels=recipe.LABELS,
        input=TextSpec(
            kind="text",
            tokenizer=TOKENIZER_FILE,
            max_tokens=recipe.MAX_TOKENS,
            ids=IDS,
            mask=MASK,
            form=recipe.FORM,
            lower_case=True,
            max_characters=recipe.MAX_CHARACTERS,
        ),
        output=OutputSpec(name=OUTPUT, kind="logits"),
        temperature=temperature,
        abstain_below=threshold,
        synonyms={
            english: (code.replace("_", "-"), own) if own != english else (code,)
            for code, (english, own) in recipe.LANGUAGES.items()
        },
        licence="Apache-2.0",
        source="trained by the Potoo project: training/recipes/language",
        golden=_write_golden(folder, model, temperature),
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


def _calibrated(model: Identifier, checks: Paragraphs) -> tuple[float, float]:
    """Return the temperature and the threshold, from texts of all lengths alike."""
    parts = [checks, *map(checks.short, recipe.LENGTHS)]
    logits = np.concatenate([model.logits(part.texts) for part in parts])
    labels: NDArray[np.int64] = np.concatenate([part.labels_N for part in parts])
    temperature = fit_temperature(logits, labels)
    of_right = abstention_threshold(softmax(logits, temperature), labels, recipe.ANSWERED_ACCURACY)
    foreign = softmax(model.logits(golden.FOREIGN_CHECKS), temperature).max(1)
    of_foreign = float(np.quantile(foreign, recipe.FOREIGN_ABSTAINED, method="higher"))
    return temperature, min(0.99, round(max(of_right, of_foreign) + 5e-4, 3))


def _write(folder: Path, manifest: ModelManifest) -> None:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def _accuracy(report: Report) -> Accuracy:
    whole, *short = report.lengths
    return Accuracy(
        dataset=recipe.DATASET,
        split="test",
        photos=report.paragraphs,
        top1=round(whole.right, 4),
        mean_per_class=round(report.mean_per_class, 4),
        expected_calibration_error=round(whole.calibration_error, 4),
        notes=f"paragraphs of {report.pages} pages that training never saw; 95 % interval over "
        f"pages {whole.low:.1%} to {whole.high:.1%}; "
        + ", ".join(f"first {one.characters} characters {one.right:.1%}" for one in short)
        + f"; naive Bayes on the same tokens {report.naive_bayes:.1%}",
    )


def _calibration(report: Report) -> Calibration:
    whole = report.lengths[0]
    return Calibration(
        precision=recipe.ANSWERED_ACCURACY,
        dataset=f"{recipe.DATASET}, test pages",
        photos=report.paragraphs,
        answered=round(whole.answered, 4),
        right=round(whole.answered_right, 4),
        notes="temperature and threshold from validation pages, whole paragraphs and their "
        "beginnings, and from sentences in ten other languages",
    )


def _write_golden(folder: Path, model: Identifier, temperature: float) -> tuple[GoldenSample, ...]:
    """Write the golden texts, and return the answers to each."""
    (folder / "golden").mkdir(exist_ok=True)
    samples = []
    for name, text in golden.TEXTS.items():
        (folder / "golden" / name).write_text(text, encoding="utf-8")
        shares = softmax(model.logits([text]), temperature)[0]
        samples.append(
            GoldenSample(
                file=name,
                predictions=tuple(
                    GoldenPrediction(index=int(k), score=round(float(shares[k]), 4))
                    for k in np.argsort(-shares)[:5]
                ),
            )
        )
    return tuple(samples)
