"""Whether the labels are enough, and what to do next, in plain English."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.teach.verdict import (
    Accuracy,
    Calibration,
    ClassVerdict,
    Forecast,
    InseparablePair,
    Suspect,
)

FEW = 10
"""Photos of a class below which nothing else is worth saying about it."""
FEW_GROUPS = 3
"""Groups of a class below which its photos say little about other days."""
WANTED_HALF_WIDTH = 0.1
"""Half of a class's interval for its recall that is narrow enough."""
SMALL_GAIN = 0.02
"""A gain of twice the labels that is not worth the work."""
WIDE = 0.08
"""Half of the accuracy's interval above which it is not known well enough."""
MOST_CLASSES = 3
"""Classes of which more photos are asked for at once..."""
MOST_STEPS = 5
"""...or which lack photos or groups."""
CERTAIN = 0.9
"""Score from which a suspect is worth a look."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The parts of a verdict that advice follows from.

    Attributes:
        is_multi: whether photos have several labels.
        groups: of all photos.
    """

    is_multi: bool
    groups: int
    accuracy: Accuracy
    per_class: Sequence[ClassVerdict]
    forecast: Forecast | None
    suspects: Sequence[Suspect]
    inseparable: Sequence[InseparablePair]
    calibration: Calibration


def advise(findings: Findings) -> tuple[bool, tuple[str, ...]]:
    """Return whether more labels would bring little, and the next steps, the most useful first."""
    missing = _missing(findings)
    if missing:
        more = len(missing) - MOST_STEPS
        rest = [f"The same holds for {more} more of the classes."] if more > 0 else []
        return False, (*missing[:MOST_STEPS], *rest)
    enough = _is_enough(findings)
    steps: list[str] = [] if enough else _more(findings.per_class)
    if findings.forecast is not None:
        steps.insert(0 if enough else len(steps), findings.forecast.sentence)
    if enough:
        steps[0] = f"Enough: {_lower(steps[0])}" if steps else "Enough."
    steps += _apart(findings.inseparable)
    steps += _check(findings.suspects)
    if findings.calibration.threshold is None and not findings.calibration.class_thresholds:
        promise = f"{100 * findings.calibration.promised_precision:g} %"
        steps.append(f"A precision of {promise} cannot be promised yet.")
    return enough, tuple(steps)


def _missing(findings: Findings) -> list[str]:
    """Return what keeps a judgement from being made or from meaning anything."""
    used = [one for one in findings.per_class if one.photos]
    if len(used) < (1 if findings.is_multi else 2):
        least = "one label" if findings.is_multi else "two classes"
        return [f"Not yet: label photos of at least {least}."]
    steps = [
        f"Not yet: label {FEW} photos of {_quoted(one.name)}; there are none."
        for one in findings.per_class
        if not one.photos
    ]
    if findings.groups == 1:
        return [*steps, "Not yet: all photos are of one group. Add photos of another day or place."]
    steps += [_unjudged(one) for one in used if one.photos > 1 and not one.held_out]
    steps += [
        f"Not yet: label {FEW - one.photos} more of {_quoted(one.name)}."
        for one in sorted(used, key=lambda one: one.photos)
        if one.photos < FEW and (one.held_out or one.photos == 1)
    ]
    return steps


def _unjudged(one: ClassVerdict) -> str:
    """Ask for photos that let a class be judged."""
    if one.groups > 1:
        return f"Not yet: add photos without {_quoted(one.name)}, so that it can be judged."
    return (
        f"Not yet: all photos of {_quoted(one.name)} are of one group, so it cannot be judged. "
        "Add photos of another day or place."
    )


def _is_enough(findings: Findings) -> bool:
    interval, forecast = findings.accuracy.interval, findings.forecast
    if interval is None or (interval.high - interval.low) / 2 > WIDE:
        return False
    if any(one.groups < min(FEW_GROUPS, one.photos) for one in findings.per_class):
        return False
    return forecast is not None and forecast.gain < SMALL_GAIN


def _more(classes: Sequence[ClassVerdict]) -> list[str]:
    """Return requests for the classes that are known least well."""
    steps: list[str] = []
    for one in sorted(classes, key=_lowest_recall):
        wanted = _wanted(one)
        if len(steps) == MOST_CLASSES or not wanted:
            continue
        start = "Not yet: label" if not steps else "Label"
        place = " of other days or places" if one.groups < FEW_GROUPS < one.photos else ""
        steps.append(f"{start} {wanted} more of {_quoted(one.name)}{place}.")
    return steps or ["Not yet: label as many photos again."]


def _lowest_recall(one: ClassVerdict) -> float:
    return one.recall_interval.low if one.recall_interval else 0.0


def _wanted(one: ClassVerdict) -> int:
    """Return how many more photos would bring the class's interval to the wanted width.

    The width falls with the square root of the number; more than as many again is not asked for.
    """
    if one.recall_interval is None:
        return FEW
    half = (one.recall_interval.high - one.recall_interval.low) / 2
    needed = math.ceil(one.photos * (half / WANTED_HALF_WIDTH) ** 2)
    return max(0, min(needed - one.photos, one.photos))


def _apart(pairs: Sequence[InseparablePair]) -> list[str]:
    return [
        f"{_quoted(pair.first)} and {_quoted(pair.second)} cannot be told apart: of {pair.photos} "
        f"photos {pair.right} are assigned to the right one. Join the two, or take closer photos."
        for pair in pairs
    ]


def _check(suspects: Sequence[Suspect]) -> list[str]:
    count = sum(suspect.score >= CERTAIN for suspect in suspects)
    if not count:
        return []
    photos = (
        "1 photo, which the others contradict"
        if count == 1
        else (f"{count} photos, which the others contradict")
    )
    return [f"Check the labels of {photos}."]


def _quoted(name: str) -> str:
    return f"'{name}'"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
