"""Records that the intake of samples and the store of sensors exchange.

Times are seconds since the epoch, UTC. An epoch and a sequence are as in ``schemas.sensors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from schemas.errors import Conflict
from schemas.sensors import SensorAnswer, SensorEvent, SensorFault, SensorSpec


@dataclass(frozen=True, slots=True)
class StoredSensor:
    """One stored sensor.

    Attributes:
        revision: grows with every change of the configuration, pausing included.
        since: when the state began.
        is_silent: whether the last of the events ``silent`` and ``back`` is ``silent``.
        seen: when the last sample arrived; None before the first.
        is_configured: the setting ``sensors.definitions`` has it: callers cannot change it.
    """

    name: str
    spec: SensorSpec
    is_paused: bool
    created: float
    revision: int = 1
    state: str | None = None
    since: float | None = None
    is_silent: bool = False
    seen: float | None = None
    is_configured: bool = False


class Glance(NamedTuple):
    """The values of a sensor that are read at every look, each second or two."""

    name: str
    created: float
    revision: int
    is_paused: bool
    is_silent: bool
    seen: float | None
    state: str | None = None
    since: float | None = None


Mark = tuple[object, ...] | None
"""Values that differ when a sensor has changed; None: what is known does not tell."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A device wants to send the samples of an epoch.

    Attributes:
        epoch: None for a device without one: the store makes a new one, the larger of the time in
            milliseconds and the newest epoch plus one.
        owner: token of the channel, at most 32 characters; unique for ever.
        now: time of the claim.
        live_after: another epoch whose ``seen`` is later than this, and that has an owner, is in
            use.
        recent: number of kept answers wanted.
        former: ``owner`` of the last channel of this process, which has ended: it does not hold the
            epoch, even if its last commit still waits.
    """

    sensor: str
    epoch: int | None
    owner: str
    now: float
    live_after: float
    recent: int
    former: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedEpoch:
    """An epoch that belongs to the channel from now on.

    Attributes:
        safe: sequence of the first sample that is needed; 0 in a new epoch.
        sensor: as stored in the same transaction.
        recent: the newest kept answers of the sensor, of any epoch, oldest first.
    """

    epoch: int
    safe: int
    sensor: StoredSensor
    recent: Sequence[SensorAnswer]


class EpochRefused(Conflict):
    """The epoch cannot be claimed: ``fault`` is ``IN_USE`` or ``STALE_EPOCH``."""

    def __init__(self, fault: SensorFault, *, retry_after: float | None = None) -> None:
        """``retry_after``: seconds after which an epoch may be free; not for a stale one."""
        self.fault = fault
        detail = (
            "Another device sends under this name."
            if fault is SensorFault.IN_USE
            else "The epoch is older than the newest one of the sensor."
        )
        super().__init__(detail, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a sensor that becomes an event.

    Attributes:
        at: when it happened.
        previous: the state before it; for ``silent`` and ``back`` the state itself.
    """

    kind: Literal["state", "silent", "back"]
    at: float
    state: str | None
    previous: str | None
    score: float | None = None
    model: str | None = None
    version: int | None = None


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Entry:
    """Commit of one channel, all or nothing.

    Attributes:
        owner: token of the claim; None for windows that no channel sends: ``safe`` is not stored.
        safe: new value, at least the stored one.
        seen: when the last sample arrived.
        answers: new ones, in the order of their windows; may be empty.
        changes: in their order. ``state`` is stored if the stored state is ``previous``; ``silent``
            and ``back`` unless ``is_silent`` says so already. Others are left out, so that an entry
            whose commit is repeated makes no second event.
        is_last: the channel ends: the epoch has no owner afterwards.
    """

    sensor: str
    epoch: int
    owner: str | None
    safe: int
    seen: float
    answers: Sequence[SensorAnswer] = ()
    changes: Sequence[Change] = ()
    is_last: bool = False


class KeptAnswer(NamedTuple):
    """A kept answer.

    Attributes:
        id: grows with time.
        answer: a ``SensorAnswer`` as JSON.
    """

    id: int
    sensor: str
    at: datetime
    answer: str


class Fate(StrEnum):
    """Fate of an entry."""

    COMMITTED = "committed"
    LOST = "lost"
    """Another channel has claimed the epoch, or another epoch: nothing of the entry is stored."""
    REMOVED = "removed"
    """There is no such sensor: nothing of the entry is stored."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one entry.

    Attributes:
        known: answers that were stored before under the ids of new ones; these stay as they were.
        events: of the changes that were stored.
    """

    fate: Fate
    known: Sequence[SensorAnswer] = ()
    events: Sequence[SensorEvent] = ()
