"""Ports of outputs: kept events, the cameras, a cursor each, and a lease."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from schemas.cameras import Camera, CameraEvent


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


class Events(Protocol):
    """The kept events of all cameras. ``after`` and ``newest`` raise ``NotReady``."""

    async def after(self, cursor: int, limit: int) -> Sequence[CameraEvent]:
        """Return events with an id above the cursor, oldest first."""

    async def newest(self) -> int:
        """Return the id of the newest event; 0 before the first."""

    async def wait(self, cursor: int, timeout: float) -> None:
        """Wait until there may be an event above the cursor, at most ``timeout`` seconds."""


class Cameras(Protocol):
    """The cameras as they are now."""

    async def list(self) -> Sequence[Camera]:
        """Return all cameras, by name.

        Raises:
            NotReady: the store does not answer.
        """


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
