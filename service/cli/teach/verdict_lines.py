"""A verdict as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.teach.verdict import Interval, Verdict
from service.teach.grafting.card import percent


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Yield figures, classes and advice."""
    accuracy, calibration = verdict.accuracy, verdict.calibration
    yield f"{verdict.photos} photos in {verdict.groups} groups; held out by groups:"
    if accuracy.value is not None:
        yield f"  accuracy      {percent(accuracy.value)}{_within(accuracy.interval)}"
    if calibration.threshold is not None:
        yield (
            f"  answered      {percent(calibration.coverage)} from a score of "
            f"{calibration.threshold:.3f} on; {percent(calibration.precision)} of them right"
        )
    if verdict.foreign is not None:
        yield f"  foreign       {percent(verdict.foreign.answered)} answered"
    width = max([5, *(len(one.name) for one in verdict.per_class)])
    yield f"  {'class':<{width}}  photos  groups   found   right of its answers"
    for one in verdict.per_class:
        yield (
            f"  {one.name:<{width}}  {one.photos:>6}  {one.groups:>6}  {percent(one.recall):>6}  "
            f"{percent(one.precision):>6}"
        )
    yield from verdict.advice


def base_lines(found: Mapping[str, Verdict | str]) -> Iterator[str]:
    """Yield what each base gives, a line each; text is why one gives nothing."""
    width = max([4, *map(len, found)])
    yield f"{'base':<{width}}  accuracy  95% interval       enough labels"
    for base, one in found.items():
        if isinstance(one, str):
            yield f"{base:<{width}}  {one}"
            continue
        interval = one.accuracy.interval
        spread = "-" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"
        enough = "yes" if one.enough else "not yet"
        yield f"{base:<{width}}  {percent(one.accuracy.value):>8}  {spread:<17}  {enough}"


def _within(interval: Interval | None) -> str:
    if interval is None:
        return ""
    ends = f"{percent(interval.low)} to {percent(interval.high)}"
    return f" ({interval.level:.0%} interval {ends})"
