"""The manifest of a taught version: the base's input, and what the verdict says of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.manifest.model_output import DEFAULT_THRESHOLD, OutputSpec
from schemas.models import Accuracy, Calibration, GoldenSample, ModelManifest, TaughtFrom
from schemas.teach.verdict import Verdict
from service.teach.grafting.graft import Graft

UNKNOWN = "unknown"
UNSURE_BELOW = 0.5
"""Least score of an answer if no precision can be promised yet: more likely than all else."""
NEVER = 1.0
MAX_TEMPERATURE, MIN_TEMPERATURE = 100.0, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a manifest says about a taught version.

    Attributes:
        output: name of the graph's output.
        source: where the photos are from: the dataset's name.
    """

    name: str
    version: int
    sha256: str
    base: ModelManifest
    origin: TaughtFrom
    classes: tuple[str, ...]
    graft: Graft
    output: str
    verdict: Verdict
    golden: tuple[GoldenSample, ...]
    source: str


def make_manifest(taught: Taught) -> ModelManifest:
    """Return the manifest.

    The temperature of several labels is in the graph, since the format has none for them.
    """
    verdict, is_softmax = taught.verdict, taught.graft.head.kind == "softmax"
    kept = verdict.calibration.threshold
    has_unknown = is_softmax and taught.graft.unknown is not None
    unknown = unknown_label(taught.classes)
    return ModelManifest(
        name=taught.name,
        version=taught.version,
        sha256=taught.sha256,
        description=_description(taught),
        labels=(*taught.classes, unknown) if has_unknown else taught.classes,
        unnamed=(unknown,) if has_unknown else (),
        input=taught.base.input,
        output=OutputSpec(
            name=taught.output,
            kind="logits" if is_softmax else "sigmoid",
            thresholds=() if is_softmax else _thresholds(verdict, len(taught.classes)),
        ),
        temperature=round(taught.graft.temperature, 6) if is_softmax else 1.0,
        abstain_below=(UNSURE_BELOW if kept is None else _rounded(kept)) if is_softmax else 0.0,
        calibration=_calibration(taught),
        licence=taught.base.licence,
        source=f"taught from the photos of '{taught.source}' on {taught.origin.name} "
        f"{taught.origin.version}",
        base=taught.origin,
        accuracy=_accuracy(taught),
        golden=taught.golden,
    )


def unknown_label(classes: Sequence[str]) -> str:
    """Return the name of 'unknown' among these classes: never one of them."""
    name = UNKNOWN
    while name in classes:
        name = f"{name} picture"
    return name


def _description(taught: Taught) -> str:
    shown = ", ".join(taught.classes[:6]) + (", ..." if len(taught.classes) > 6 else "")
    return f"{len(taught.classes)} classes, taught from {taught.verdict.photos} photos: {shown}"


def _thresholds(verdict: Verdict, classes: int) -> tuple[float, ...]:
    """Return the least score of each label; one that can keep no promise gets the usual one."""
    kept = verdict.calibration.class_thresholds
    if len(kept) != classes:
        return (DEFAULT_THRESHOLD,)
    return tuple(DEFAULT_THRESHOLD if one is None else _rounded(one) for one in kept)


def _calibration(taught: Taught) -> Calibration | None:
    """Return the entry, unless no threshold keeps the promise."""
    found = taught.verdict.calibration
    is_kept = found.threshold is not None or any(found.class_thresholds)
    if not is_kept or not taught.verdict.accuracy.photos:
        return None
    return Calibration(
        precision=found.promised_precision,
        dataset=taught.source,
        photos=taught.verdict.accuracy.photos,
        answered=found.coverage,
        right=found.precision,
        notes="of held-out answers: each by a head that saw no photo of the same group",
    )


def _accuracy(taught: Taught) -> tuple[Accuracy, ...]:
    accuracy = taught.verdict.accuracy
    if accuracy.value is None or not accuracy.photos:
        return ()
    interval = accuracy.interval
    notes = "each photo by a head that saw no photo of the same group"
    if interval is not None:
        share = f"{interval.low:.1%} to {interval.high:.1%}"
        notes += f"; {interval.level:.0%} interval {share}"
    return (
        Accuracy(
            dataset=taught.source,
            split="held out by groups",
            photos=accuracy.photos,
            top1=accuracy.value,
            expected_calibration_error=taught.verdict.calibration.error,
            notes=notes,
        ),
    )


def _rounded(threshold: float) -> float:
    """Return a threshold below ``NEVER``, from which on a level is never answered."""
    return min(round(threshold, 6), 0.999999)
