"""Answers and entries of sensors, as the intake commits them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from schemas.classify import Prediction
from schemas.sensors import SensorAnswer, SensorSpec
from service.sensors.records import Change, Claim, ClaimedEpoch, Entry
from service.sensors.store.channels import ChannelStore

SPEC = SensorSpec(channels=3, rate=100, model="loudest")
EPOCH, LENGTH = 1_800_000_000_000, 8
AT = 1_800_000_100.5
MOST = 10_000


def answer(first: int, label: str = "first", *, epoch: int = EPOCH, at: float = AT) -> SensorAnswer:
    """The answer for the window whose first sample has that sequence."""
    return SensorAnswer(
        epoch=epoch,
        first_sequence=first,
        label=label,
        score=0.75,
        predictions=[Prediction(label=label, index=0, score=0.75)],
        model="loudest",
        version=1,
        at=datetime.fromtimestamp(at, UTC),
        sampled_at=None,
    )


def entry(
    sensor: str,
    answers: Sequence[SensorAnswer] = (),
    *,
    owner: str | None = "one",
    epoch: int = EPOCH,
    seen: float = AT,
    changes: Sequence[Change] = (),
    is_last: bool = False,
) -> Entry:
    """An entry whose windows do not overlap."""
    safe = max((one.first_sequence + LENGTH for one in answers), default=0)
    return Entry(sensor, epoch, owner, safe, seen, answers, changes, is_last)


async def claim(
    store: ChannelStore,
    sensor: str,
    *,
    owner: str = "one",
    epoch: int | None = EPOCH,
    now: float = AT,
    recent: int = 0,
    former: str | None = None,
) -> ClaimedEpoch:
    """Claim an epoch; channels live for a minute."""
    return await store.claim(Claim(sensor, epoch, owner, now, now - 60, recent, former))
