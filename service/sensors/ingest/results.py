"""Answers for windows as they are stored and sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from schemas.sensors import SensorAnswer
from schemas.trusted import trusted
from service.sensors.ingest.models import Verdict
from service.sensors.records import Entry, Outcome
from service.sensors.windows.samples import Window


def answer_of(epoch: int, window: Window, verdict: Verdict, now: float) -> SensorAnswer:
    """Return the answer for a window, with its JSON. ``now``: in seconds since the epoch."""
    vote, taken = verdict.vote, window.sampled_at
    fields: dict[str, object] = {
        "epoch": epoch,
        "first_sequence": window.first,
        "label": vote.label,
        "score": None if vote.label is None else vote.score,
        "predictions": verdict.predictions,
        "model": verdict.model,
        "version": verdict.version,
        "at": datetime.fromtimestamp(now, UTC),
        "sampled_at": None if taken is None else moment_of(taken),
        "filled": window.filled,
    }
    shown = {**fields, "predictions": [vars(one) for one in verdict.predictions]}
    answer = trusted(SensorAnswer, fields)
    vars(answer)["text"] = orjson.dumps(shown, option=orjson.OPT_UTC_Z).decode()
    return answer


def moment_of(seconds: float) -> datetime | None:
    """Return a time that a device gave; None if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def as_stored(entry: Entry, outcome: Outcome) -> Sequence[SensorAnswer]:
    """Return the answers of an entry; those that were stored before stay as they were."""
    if not outcome.known:
        return entry.answers
    known = {one.first_sequence: one for one in outcome.known}
    return [known.get(one.first_sequence, one) for one in entry.answers]
