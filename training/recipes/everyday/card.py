"""The model card: the text of ``card.md`` with the measured numbers."""

from __future__ import annotations

from pathlib import Path
from string import Template

from schemas.models import ModelManifest
from training.recipes.everyday import recipe
from training.recipes.everyday.evaluate import Report

FILE = "README.md"
WEAKEST = 8

_TEMPLATE = Path(__file__).with_name("card.md")


def model_card(manifest: ModelManifest, report: Report, worst: dict[str, float]) -> str:
    """The card as Markdown.

    Args:
        worst: label to share right on the test split, the weakest first.
    """
    (accuracy,) = manifest.accuracy
    weakest = ", ".join(f"{name} ({share:.0%})" for name, share in list(worst.items())[:WEAKEST])
    return Template(_TEMPLATE.read_text()).substitute(
        version=manifest.version,
        count=len(manifest.labels),
        licence=manifest.licence,
        photos=f"{report.photos:,}",
        top1=f"{accuracy.top1:.1%}",
        top5=f"{report.top5:.1%}",
        mean_per_class=f"{report.mean_per_class:.1%}",
        error=f"{report.expected_calibration_error:.3f}",
        uncalibrated=f"{report.uncalibrated_error:.3f}",
        answered=f"{report.answered:.1%}",
        answered_top1=f"{report.answered_top1:.1%}",
        megabytes=f"{report.model_bytes / 1e6:.1f}",
        parameters=f"{report.model_bytes / 4e6:.1f} M",
        threshold=f"{manifest.abstain_below:g}",
        temperature=f"{manifest.temperature:g}",
        side=recipe.GEOMETRY.crop,
        resize=recipe.GEOMETRY.resize,
        weakest=weakest,
        dataset=accuracy.dataset,
        labels=", ".join(sorted(manifest.labels, key=str.casefold)),
    )
