"""Group commit: one transaction for everything that waits, each few milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Never, Protocol

from observability.logs.logging import get_logger
from schemas.errors import NotReady
from service.sensors.ingest.ports import SensorStore
from service.sensors.records import Entry, Outcome

INTERVAL_SECONDS = 0.005
"""Between the starts of two transactions."""
MOST_ANSWERS = 4096
"""In one transaction."""
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.05, 1.0


class Source(Protocol):
    """Something that commits: a channel, or messages without one."""

    def take(self) -> Entry | None:
        """Return what to commit now; None for nothing. Not called again before ``settle``."""

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Note what became of the entry that ``take`` returned."""

    def fail(self) -> None:
        """Give up: the entry cannot be stored, which is a bug."""


class Committer:
    """Commits what sources have, in the order in which they asked."""

    def __init__(self, store: SensorStore, *, interval: float = INTERVAL_SECONDS) -> None:
        """``interval``: seconds."""
        self._store, self._interval = store, interval
        self._sources: dict[Source, None] = {}
        self._wanted = asyncio.Event()
        self._log = get_logger("sensors")

    def note(self, source: Source) -> None:
        """Commit what a source has, soon."""
        self._sources[source] = None
        self._wanted.set()

    async def run(self) -> Never:
        """Commit until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            began = loop.time()
            await self.commit()
            # Also without a pause, other tasks get their turn.
            await asyncio.sleep(max(0.0, began + self._interval - loop.time()))

    async def commit(self) -> None:
        """Commit what waits now, in one transaction; try until the store takes it."""
        batch: list[tuple[Source, Entry]] = []
        answers = 0
        while self._sources and answers < MOST_ANSWERS:
            source = next(iter(self._sources))
            del self._sources[source]
            if (entry := source.take()) is not None:
                batch.append((source, entry))
                answers += len(entry.answers)
        if not self._sources:
            self._wanted.clear()
        if not batch:
            return
        try:
            outcomes = await self._stored([entry for _, entry in batch])
        except Exception:  # noqa: BLE001 - one entry must not harm the others
            self._log.exception("commit failed: this is a bug")
            await self._store_singly(batch)
            return
        for (source, entry), outcome in zip(batch, outcomes, strict=True):
            self._settle(source, entry, outcome)

    async def _stored(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Commit; while the store does not answer, nothing is confirmed, and devices wait."""
        pause, is_away = FIRST_RETRY_SECONDS, False
        while True:
            try:
                outcomes = await self._store.commit(entries)
            except NotReady as error:
                if not is_away:
                    is_away = True
                    self._log.error("samples wait for the store", reason=error.detail)
                await asyncio.sleep(pause)
                pause = min(LONGEST_RETRY_SECONDS, pause * 2)
            else:
                if is_away:
                    self._log.info("the store takes samples again")
                return outcomes

    async def _store_singly(self, batch: Sequence[tuple[Source, Entry]]) -> None:
        for source, entry in batch:
            try:
                (outcome,) = await self._stored([entry])
            except Exception:  # noqa: BLE001 - the other sources go on
                with contextlib.suppress(Exception):
                    source.fail()
            else:
                self._settle(source, entry, outcome)

    def _settle(self, source: Source, entry: Entry, outcome: Outcome) -> None:
        try:
            source.settle(entry, outcome)
        except Exception:  # noqa: BLE001 - the other sources go on
            self._log.exception("answer not passed on: this is a bug", sensor=entry.sensor)
