"""The model card: the text of ``card.md`` with the measured numbers."""

from __future__ import annotations

from pathlib import Path
from string import Template

from schemas.models import ModelManifest
from training.recipes.language import golden, recipe
from training.recipes.language.evaluate import Measured, Report

FILE = "README.md"

_TEMPLATE = Path(__file__).with_name("card.md")


def model_card(manifest: ModelManifest, report: Report, checks: int) -> str:
    """The card as Markdown; ``checks``: number of validation paragraphs."""
    return Template(_TEMPLATE.read_text()).substitute(
        version=manifest.version,
        licence=manifest.licence,
        count=len(recipe.LABELS),
        languages=", ".join(recipe.LABELS),
        paragraphs=f"{report.paragraphs:,}",
        pages=report.pages,
        checks=f"{checks:,}",
        lengths="\n".join(map(_row, report.lengths)),
        mean_per_class=f"{report.mean_per_class:.1%}",
        worst=", ".join(
            f"{label} {share:.1%}"
            for label, share in sorted(report.of_class.items(), key=lambda one: one[1])[:3]
        ),
        naive_bayes=f"{report.naive_bayes:.1%}",
        foreign=report.foreign,
        foreign_checks=len(golden.FOREIGN_CHECKS),
        foreign_abstained=report.foreign_abstained,
        megabytes=f"{(report.model_bytes + report.tokenizer_bytes) / 1e6:.1f}",
        threshold=f"{manifest.abstain_below:g}",
        temperature=f"{manifest.temperature:g}",
        vocabulary=f"{recipe.VOCABULARY:,}",
        units=recipe.UNITS,
        max_tokens=recipe.MAX_TOKENS,
        dataset=recipe.DATASET,
    )


def _row(measured: Measured) -> str:
    texts = "whole" if measured.characters is None else f"first {measured.characters} characters"
    return (
        f"| {texts} | {measured.right:.1%} ({measured.low:.1%} to {measured.high:.1%}) | "
        f"{measured.answered:.1%} | {measured.answered_right:.1%} | "
        f"{measured.calibration_error:.3f} |"
    )
