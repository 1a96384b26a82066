"""The model card: the text of ``card.md`` with the measured numbers."""

from __future__ import annotations

from pathlib import Path
from string import Template

from schemas.models import ModelManifest
from training.recipes.turbofan import recipe
from training.recipes.turbofan.evaluate import Measured, Report

FILE = "README.md"

_TEMPLATE = Path(__file__).with_name("card.md")


def model_card(manifest: ModelManifest, report: Report, checks: int) -> str:
    """The card as Markdown; ``checks``: number of validation windows."""
    rows = [
        f"| **{label}** | {' | '.join(map(str, row))} | {row[number] / sum(row):.1%} |"
        for number, (label, row) in enumerate(zip(recipe.LABELS, report.confusion, strict=True))
    ]
    return Template(_TEMPLATE.read_text()).substitute(
        version=manifest.version,
        licence=manifest.licence,
        windows=f"{report.windows:,}",
        engines=report.engines,
        checks=f"{checks:,}",
        right=_shown(report.right),
        logistic=_shown(report.logistic),
        trends=_shown(report.logistic_trends),
        majority=_shown(report.majority),
        above=_shown(report.above_logistic),
        mean_per_class=f"{report.mean_per_class:.1%}",
        error=f"{report.expected_calibration_error:.3f}",
        uncalibrated=f"{report.uncalibrated_error:.3f}",
        answered=f"{report.answered:.1%}",
        answered_right=f"{report.answered_right:.1%}",
        kilobytes=f"{report.model_bytes / 1e3:.0f}",
        threshold=f"{manifest.abstain_below:g}",
        temperature=f"{manifest.temperature:g}",
        confusion="\n".join(rows),
        dataset=manifest.accuracy[0].dataset,
    )


def _shown(measured: Measured) -> str:
    return f"{measured.share:.1%} ({measured.low:.1%} to {measured.high:.1%})"
