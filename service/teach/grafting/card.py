"""The card of a taught version, ``README.md`` in its folder: the verdict for people."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.models import ModelManifest
from schemas.teach.verdict import Interval, Verdict

CARD_FILE = "README.md"


def card(manifest: ModelManifest, verdict: Verdict) -> str:
    """Return the card, Markdown."""
    return "\n".join(_lines(manifest, verdict)) + "\n"


def _lines(manifest: ModelManifest, verdict: Verdict) -> Iterator[str]:
    yield f"# {manifest.name} {manifest.version}"
    yield ""
    origin = manifest.base
    if origin is not None:
        yield (
            f"Taught from {verdict.photos} photos in {verdict.groups} groups of the dataset "
            f"`{origin.dataset}`: a head on the features `{origin.tensor}` of "
            f"{origin.name} {origin.version}."
        )
        yield ""
    yield f"**{'Enough labels' if verdict.enough else 'Not enough labels yet'}.**"
    yield ""
    yield from (f"- {plain(sentence)}" for sentence in verdict.advice)
    yield ""
    yield from _figures(verdict)
    yield ""
    yield from _classes(verdict)
    yield ""
    yield (
        "Every figure is of held-out answers: each photo was judged by a head that saw no photo "
        "of its group. They hold for photos like these."
    )
    if any(manifest.golden):
        yield ""
        yield "The folder `golden` has photos of the dataset: those that are in it can see them."


def _figures(verdict: Verdict) -> Iterator[str]:
    accuracy, calibration = verdict.accuracy, verdict.calibration
    yield "| | |"
    yield "|---|---|"
    if accuracy.value is not None:
        yield f"| accuracy | {percent(accuracy.value)}{_within(accuracy.interval)} |"
    if calibration.threshold is not None:
        yield (
            f"| answers from a score of {calibration.threshold:.3f} on | "
            f"{percent(calibration.precision)} right, {percent(calibration.coverage)} of photos "
            f"answered; promised {percent(calibration.promised_precision)} |"
        )
    if calibration.error is not None:
        yield f"| calibration error | {percent(calibration.error)} |"
    if verdict.forecast is not None:
        yield f"| twice the labels | {plain(verdict.forecast.sentence)} |"
    if verdict.foreign is not None:
        yield (
            f"| foreign pictures answered | {percent(verdict.foreign.answered)} of "
            f"{verdict.foreign.photos} |"
        )


def _classes(verdict: Verdict) -> Iterator[str]:
    yield "| class | photos | groups | found | right of its answers |"
    yield "|---|---|---|---|---|"
    for one in verdict.per_class:
        found, right = percent(one.recall), percent(one.precision)
        yield f"| {plain(one.name)} | {one.photos} | {one.groups} | {found} | {right} |"


def percent(share: float | None) -> str:
    """Return a share as a percentage; a dash if there is none."""
    return "-" if share is None else f"{share:.1%}"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    escaped = "".join(f"\\{char}" if char in "\\`*_{}[]<>#|!" else char for char in text)
    return " ".join(escaped.split())


def _within(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" ({percent(interval.low)} to {percent(interval.high)}, {interval.level:.0%} interval)"
