"""Ports of outputs: kept events, a cursor each, and a lease."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

Event_co = TypeVar("Event_co", covariant=True)


class LeaseLost(Exception):
    """Another process may hold the lease now: the body of ``Leases.hold`` was cancelled."""


@dataclass(frozen=True, slots=True)
class OutputCursor:
    """How far an output has delivered the kept events.

    Attributes:
        event: id of the last event that was delivered or given up; 0 before the first.
        attempts: failed attempts of the event after it.
        next_attempt: seconds since the epoch; 0 for at once.
        dead: events given up.
    """

    event: int = 0
    attempts: int = 0
    next_attempt: float = 0.0
    dead: int = 0


class KeptEvents(Protocol[Event_co]):
    """The kept events of all cameras or of all sensors. Both raise ``NotReady``."""

    async def after(self, cursor: int, limit: int) -> Sequence[Event_co]:
        """Return events with an id above the cursor, oldest first."""

    async def newest(self) -> int:
        """Return the id of the newest event; 0 before the first."""


class Events(KeptEvents[Event_co], Protocol[Event_co]):
    """Kept events, and waiting for the next one."""

    async def wait(self, cursor: int, timeout: float) -> None:
        """Wait until there may be an event above the cursor, at most ``timeout`` seconds."""


class Cursors(Protocol):
    """Cursors by the name of their output. Both raise ``NotReady``."""

    async def load(self, name: str) -> OutputCursor | None:
        """Return the cursor; None if the output has none yet."""

    async def save(self, name: str, cursor: OutputCursor) -> None:
        """Store the cursor."""


class Leases(Protocol):
    """One holder of each name among all processes and replicas of a store."""

    def hold(self, name: str) -> AbstractAsyncContextManager[None]:
        """Wait until this process holds the lease, and hold it for the block.

        Raises:
            LeaseLost: from the block, which is cancelled when the lease is lost.
        """
