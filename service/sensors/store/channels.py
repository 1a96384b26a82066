"""Epochs and windows of sensors: what the intake commits, many windows in one transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.store.database import Database
from auth.store.direct_writes import Statement, Steps, perform_on
from schemas.sensors import SensorAnswer, SensorEvent
from service.sensors.records import (
    Change,
    Claim,
    ClaimedEpoch,
    Entry,
    Fate,
    Outcome,
)
from service.sensors.store.claiming import EpochClaims
from service.sensors.store.events import EventStore
from service.sensors.store.many_rows import RowSource
from service.sensors.store.sensors import SensorStore, later
from service.sensors.store.tables import SensorEpochRow, SensorResultRow, SensorRow

_EPOCHS = {
    "sensor": "text",
    "epoch": "bigint",
    "owner": "text",
    "safe": "bigint",
    "seen": "float8",
    "is_last": "bool",
}
_SET_SAFE = """
UPDATE sensor_epochs SET
    safe = v.safe, seen = v.seen, owner = CASE WHEN v.is_last THEN NULL ELSE v.owner END
FROM {rows}
WHERE sensor_epochs.sensor = v.sensor AND sensor_epochs.epoch = v.epoch
    AND sensor_epochs.owner = v.owner
"""
_RESULTS = {
    "sensor": "text",
    "epoch": "bigint",
    "first_sequence": "bigint",
    "at": "float8",
    "answer": "text",
}
_ADD_RESULTS = """
INSERT INTO sensor_results (sensor, epoch, first_sequence, at, answer)
SELECT v.sensor, v.epoch, v.first_sequence, v.at, v.answer FROM {rows} WHERE true
ON CONFLICT (sensor, epoch, first_sequence) DO NOTHING
"""
COMMITTED = Outcome(Fate.COMMITTED)


class _NotPlain(Exception):
    """An entry has lost its epoch, or a window is stored already."""


class ChannelStore(SensorStore):
    """Sensors, their epochs and windows. Implements the port ``ingest.ports.SensorStore``."""

    def __init__(
        self,
        database: Database,
        events: EventStore,
        *,
        clock: Callable[[], float] = time.time,
        on_stored: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``on_stored``: called with the number of answers of each commit."""
        super().__init__(database, clock=clock)
        self._events, self._on_stored = events, on_stored
        self._epochs = RowSource(database.dialect, _EPOCHS)
        self._claims = EpochClaims(database)
        self._results = RowSource(database.dialect, _RESULTS)

    async def claim(self, claim: Claim) -> ClaimedEpoch:
        """See ``ingest.ports.SensorStore``."""
        return await self._claims.claim(claim)

    async def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """See ``ingest.ports.SensorStore``."""
        owned = [entry for entry in entries if entry.owner is not None]
        others = [entry for entry in entries if entry.owner is None]
        try:
            if len({entry.sensor for entry in owned}) < len(owned):
                raise _NotPlain
            if others:
                outcomes = await self._commit(entries, others, owned)
            else:
                outcomes = await self._database.perform(self._all_of(owned))
        except _NotPlain:
            outcomes = await self._commit(entries, entries, [])
        self._on_stored(sum(len(entry.answers) for entry in entries))
        events = [event.id for outcome in outcomes for event in outcome.events]
        if events:
            await self._events.prune_sometimes(max(events), len(events))
        return outcomes

    async def silence(self, sensor: str, *, seen_before: float, at: float) -> SensorEvent | None:
        """See ``ingest.ports.SensorStore``."""
        async with self._database.write() as session:
            query = select(SensorEpochRow).where(SensorEpochRow.sensor == sensor).with_for_update()
            epoch = await session.scalar(query)
            row = await session.get(SensorRow, sensor)
            if row is None or row.is_paused or row.is_silent:
                return None
            seen = later(row.seen, epoch.seen if epoch else None)
            if seen is None or seen >= seen_before:
                return None
            change = Change("silent", at, row.state, row.state)
            kept = await self._events.record_in(session, sensor, change)
        if kept is None:
            return None
        await self._events.prune_sometimes(kept.id)
        return self._events.read(kept)

    def _all_of(self, entries: Sequence[Entry]) -> Steps[list[Outcome]]:
        """Store entries of different channels, in a few statements for all: a transaction.

        Raises:
            _NotPlain: one has lost its epoch, or a window is stored already.
        """
        epochs = [_epoch(entry) for entry in entries]
        results = [row for entry in entries for row in _rows(entry)]
        for text, source, rows in (
            (_SET_SAFE, self._epochs, epochs),
            (_ADD_RESULTS, self._results, results),
        ):
            for part, parameters, number in source.parts(rows):
                done = yield Statement(text.format(rows=part), parameters)
                if done.changed != number:
                    raise _NotPlain
        if not any(entry.changes for entry in entries):
            return [COMMITTED] * len(entries)
        kept = yield from self._recorded(entries)
        return [Outcome(Fate.COMMITTED, (), kept.get(id(entry), ())) for entry in entries]

    def _recorded(self, entries: Sequence[Entry]) -> Steps[dict[int, list[SensorEvent]]]:
        """Store the changes of entries; return their events by the ``id`` of the entry."""
        changes = [(entry.sensor, change) for entry in entries for change in entry.changes]
        events = iter((yield from self._events.record_many(changes)))
        return {
            id(entry): [event for _ in entry.changes if (event := next(events)) is not None]
            for entry in entries
            if entry.changes
        }

    async def _commit(
        self, entries: Sequence[Entry], singly: Sequence[Entry], together: Sequence[Entry]
    ) -> list[Outcome]:
        """Commit entries in one transaction, in two parts.

        Raises:
            _NotPlain: see ``_all_of``.
        """
        done: dict[int, Outcome] = {}
        async with self._database.write() as session:
            connection = await session.connection()
            if together:
                outcomes = await perform_on(connection, self._all_of(together))
                done |= {id(one): outcome for one, outcome in zip(together, outcomes, strict=True)}
            found = [(entry, *await self._commit_one(session, entry)) for entry in singly]
            committed = [entry for entry, fate, _ in found if fate is Fate.COMMITTED]
            kept = await perform_on(connection, self._recorded(committed))
        for entry, fate, known in found:
            done[id(entry)] = Outcome(fate, known, kept.get(id(entry), ()))
        return [done[id(entry)] for entry in entries]

    async def _commit_one(
        self, session: AsyncSession, entry: Entry
    ) -> tuple[Fate, Sequence[SensorAnswer]]:
        connection = await session.connection()
        if entry.owner is None:
            query = update(SensorRow).where(SensorRow.name == entry.sensor)
            query = query.values(seen=entry.seen).returning(SensorRow.name)
            is_there = (await session.execute(query)).first() is not None
        else:
            ((part, parameters, _),) = self._epochs.parts([_epoch(entry)])
            query_text = _SET_SAFE.format(rows=part)
            done = await connection.exec_driver_sql(query_text, parameters)
            is_there = done.rowcount > 0
        if not is_there:
            name = select(SensorRow.name).where(SensorRow.name == entry.sensor)
            is_lost = entry.owner is not None and (await session.scalar(name)) is not None
            return Fate.LOST if is_lost else Fate.REMOVED, ()
        added: Counter[int] = Counter()
        for part, parameters, _ in self._results.parts(_rows(entry)):
            query_text = _ADD_RESULTS.format(rows=part) + "RETURNING first_sequence"
            found = await connection.exec_driver_sql(query_text, parameters)
            added.update(first for (first,) in found.all())
        known = []
        for answer in entry.answers:
            if added[answer.first_sequence]:
                added[answer.first_sequence] -= 1
            else:
                known.append(await _known(session, entry.sensor, answer))
        return Fate.COMMITTED, known


def _epoch(entry: Entry) -> tuple[object, ...]:
    return entry.sensor, entry.epoch, entry.owner, entry.safe, entry.seen, entry.is_last


def _rows(entry: Entry) -> list[tuple[object, ...]]:
    return [
        (
            entry.sensor,
            entry.epoch,
            one.first_sequence,
            one.at.timestamp(),
            one.text,
        )
        for one in entry.answers
    ]


async def _known(session: AsyncSession, sensor: str, answer: SensorAnswer) -> SensorAnswer:
    """Return the answer that is stored under the id of a new one."""
    query = select(SensorResultRow.answer).where(
        SensorResultRow.sensor == sensor,
        SensorResultRow.epoch == answer.epoch,
        SensorResultRow.first_sequence == answer.first_sequence,
    )
    text = await session.scalar(query)
    return answer if text is None else SensorAnswer.model_validate_json(text)
