"""The card of the default model: for people as Markdown, for the builder as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from schemas.models import Accuracy, Calibration, GoldenSample
from service.modeltools.imagenet.building import PACKAGE, Card
from service.modeltools.measuring.evaluation import Evaluation, Share
from tools.imagenet.fitting import FLOWERS, KNOWN_SET, PRECISION, SETS_IN_PART

TEMPLATE = Path(__file__).with_name("card.md")
TITLES = {
    "caltech96": "Caltech-101 (CC BY 4.0), test split",
    "flowers": "flowers (CC BY 2.0)",
    "clothing": "clothing (CC0)",
    "trashnet6": "trash (MIT), test split",
    "public": "ImageNet samples (`public`)",
    "open": "openly licensed photos (`open`)",
}


@dataclass(frozen=True, slots=True)
class Nothing:
    """Counts of drawings of one kind: all, those that got a name, those with a narrow name."""

    pictures: int
    named: int
    below: int


@dataclass(frozen=True, slots=True)
class CardFigures:
    """All measurements. ``scores``: area under the ROC curve by score and set."""

    temperature: float
    thresholds: tuple[float, ...]
    sets: Mapping[str, Evaluation]
    int8_sets: Mapping[str, Evaluation]
    nothings: Mapping[str, Nothing]
    scores: Mapping[str, Mapping[str, float]]


def make_card(measured: CardFigures, golden: tuple[GoldenSample, ...]) -> Card:
    """Build the card that the builder reads for the manifest."""
    return Card(
        temperature=measured.temperature,
        abstain_below=measured.thresholds[0],
        group_thresholds=measured.thresholds[1:],
        calibration=_calibration(measured.sets[KNOWN_SET]),
        accuracy=_accuracy(measured.sets[KNOWN_SET]),
        int8_calibration=_calibration(measured.int8_sets[KNOWN_SET]),
        int8_accuracy=_accuracy(measured.int8_sets[KNOWN_SET]),
        golden=golden,
    )


def _calibration(known: Evaluation) -> Calibration:
    return Calibration(
        precision=PRECISION,
        dataset="classes of Caltech-101 that ImageNet has too, test split",
        photos=known.images,
        answered=_value(known.answered),
        right=_value(known.precision),
        notes="thresholds also hold on flowers, clothing, trash and drawings of nothing",
    )


def _accuracy(known: Evaluation) -> tuple[Accuracy, ...]:
    return (
        Accuracy(
            dataset="classes of Caltech-101 that ImageNet has too, CC BY 4.0",
            split="test",
            photos=known.labelled,
            top1=_value(known.top1) or 0,
            top5=_value(known.top5),
            mean_per_class=round(known.mean_per_class or 0, 4),
            expected_calibration_error=round(known.expected_calibration_error or 0, 4),
            notes="another data set than the network's own; labels with several meanings count",
        ),
    )


def write_readme(measured: CardFigures) -> str:
    """Format the card as Markdown."""
    known = measured.sets[KNOWN_SET]
    sets = list(next(iter(measured.scores.values())))
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        package=PACKAGE,
        table="\n".join(_row(name, found) for name, found in measured.sets.items()),
        int8_table="\n".join(_row(name, found) for name, found in measured.int8_sets.items()),
        ece=f"{known.expected_calibration_error or 0:.3f}",
        temperature=f"{measured.temperature:g}",
        thresholds=", ".join(f"{threshold:g}" for threshold in measured.thresholds),
        precision=f"{PRECISION:.0%}",
        nothings="\n".join(
            f"| {kind} | {found.pictures} | {found.named} | {found.below} |"
            for kind, found in measured.nothings.items()
        ),
        score_sets=" | ".join(sets),
        score_rule="|".join("---" for _ in sets),
        scores="\n".join(
            f"| {score} | {' | '.join(f'{areas[name]:.3f}' for name in sets)} |"
            for score, areas in measured.scores.items()
        ),
    )


def _row(name: str, found: Evaluation) -> str:
    groups = found.levels[1].top1 if len(found.levels) > 1 else Share(0, 0)
    # Photos of partly known classes have no right label, only a group.
    labels = Share(0, 0) if name in {FLOWERS, *SETS_IN_PART} else found.top1
    cells = (labels, groups, found.answered, found.precision, found.precision_below)
    return f"| {TITLES[name]} | {found.images} | {' | '.join(map(_percent, cells))} |"


def _percent(share: Share) -> str:
    return "-" if share.value is None else f"{share.value:.1%} of {share.of}"


def _value(share: Share) -> float | None:
    return None if share.value is None else round(share.value, 4)
