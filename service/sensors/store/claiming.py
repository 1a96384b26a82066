"""Claims of epochs, in groups: a thousand devices that come back wait for few transactions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth.store.database import Database
from schemas.errors import NotFound, NotReady, ServiceError
from schemas.sensors import SensorAnswer, SensorFault
from service.sensors.records import Claim, ClaimedEpoch, EpochRefused
from service.sensors.store.many_rows import RowSource
from service.sensors.store.sensors import stored
from service.sensors.store.tables import SensorEpochRow, SensorResultRow, SensorRow

if TYPE_CHECKING:
    from asyncio import Future

    from sqlalchemy import Row

NO_EPOCH = -1
NO_SENSOR = "There is no sensor with this name."
MOST_CLAIMS = 500
"""In one transaction."""
_EPOCHS = {
    "sensor": "text",
    "epoch": "bigint",
    "safe": "bigint",
    "owner": "text",
    "opened": "float8",
}
_SET_OWNER = """
UPDATE sensor_epochs SET epoch = v.epoch, safe = v.safe, owner = v.owner, opened = v.opened
FROM {rows} WHERE sensor_epochs.sensor = v.sensor
"""
_ROW = SensorEpochRow
Result = ClaimedEpoch | ServiceError


class EpochClaims:
    """Claims epochs: all claims that wait, in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = RowSource(database.dialect, _EPOCHS)
        self._waiting: deque[tuple[Claim, Future[ClaimedEpoch]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def claim(self, claim: Claim) -> ClaimedEpoch:
        """See ``ingest.ports.SensorStore``."""
        done: Future[ClaimedEpoch] = asyncio.get_running_loop().create_future()
        self._waiting.append((claim, done))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())
        return await done

    async def _run(self) -> None:
        while self._waiting:
            group: dict[str, tuple[Claim, Future[ClaimedEpoch]]] = {}
            while self._waiting and len(group) < MOST_CLAIMS:
                claim, done = self._waiting[0]
                if claim.sensor in group:  # the later one finds what the other has done
                    break
                self._waiting.popleft()
                if not done.done():  # else nothing waits for it any more
                    group[claim.sensor] = claim, done
            claims = [claim for claim, _ in group.values()]
            for (_, done), result in zip(group.values(), await self._results(claims), strict=True):
                if done.done():
                    continue
                if isinstance(result, ClaimedEpoch):
                    done.set_result(result)
                else:
                    done.set_exception(result)

    async def _results(self, claims: Sequence[Claim]) -> Sequence[ClaimedEpoch | Exception]:
        """Claim; if a group fails, one after the other."""
        if not claims:
            return []
        try:
            return await self._claim(claims)
        except IntegrityError:  # the foreign key: a sensor was removed at this moment
            if len(claims) == 1:
                return [NotFound(NO_SENSOR)]
        except NotReady as error:  # of a group, also for two processes that wait for each other
            if len(claims) == 1:
                return [error]
        except Exception as error:  # noqa: BLE001 - raised in the callers
            return [error] * len(claims)
        return [result for claim in claims for result in await self._results([claim])]

    async def _claim(self, claims: Sequence[Claim]) -> list[Result]:
        names = sorted(claim.sensor for claim in claims)
        async with self._database.write() as session:
            known = await session.scalars(select(SensorRow.name).where(SensorRow.name.in_(names)))
            epochs = await self._locked_epochs(session, sorted(known))
            query = select(*SensorRow.__table__.columns).where(SensorRow.name.in_(epochs))
            sensors = {row.name: row for row in await session.execute(query)}
            results: list[Result] = []
            rows: list[tuple[object, ...]] = []
            for claim in claims:
                name = claim.sensor
                if name not in sensors:
                    results.append(NotFound(NO_SENSOR))
                    continue
                row = epochs[name]
                try:
                    epoch = _claimed(row, claim)
                except EpochRefused as error:
                    results.append(error)
                    continue
                safe = row.safe if epoch == row.epoch else 0
                recent = await _recent(session, name, claim.recent) if claim.recent else []
                sensor = stored(cast("SensorRow", sensors[name]), row.seen)
                results.append(ClaimedEpoch(epoch, safe, sensor, recent))
                rows.append((name, epoch, safe, claim.owner, claim.now))
            connection = await session.connection()
            for part, parameters, _ in self._rows.parts(rows):
                await connection.exec_driver_sql(_SET_OWNER.format(rows=part), parameters)
        return results

    async def _locked_epochs(
        self, session: AsyncSession, sensors: Sequence[str]
    ) -> Mapping[str, Row[str, int, int, str | None, float, float | None]]:
        """Return the epochs by sensor; other claims and commits of theirs wait."""
        if not sensors:
            return {}
        insert = self._database.insert(_ROW).values(
            [{"sensor": name, "epoch": NO_EPOCH, "safe": 0, "opened": 0.0} for name in sensors]
        )
        await session.execute(insert.on_conflict_do_nothing())
        query = select(_ROW.sensor, _ROW.epoch, _ROW.safe, _ROW.owner, _ROW.opened, _ROW.seen)
        query = query.where(_ROW.sensor.in_(sensors)).order_by(_ROW.sensor).with_for_update()
        return {row.sensor: row for row in await session.execute(query)}


def _claimed(row: Row[str, int, int, str | None, float, float | None], claim: Claim) -> int:
    """Return the epoch that becomes the channel's.

    Raises:
        EpochRefused: see ``ingest.ports.SensorStore.claim``.
    """
    _, newest, _, owner, opened, seen = row
    if claim.epoch == newest:
        return newest
    live_until = max(opened, seen or 0.0) - claim.live_after
    if owner not in {None, claim.former} and live_until > 0:
        raise EpochRefused(SensorFault.IN_USE, retry_after=live_until)
    if claim.epoch is None:
        return max(int(claim.now * 1000), newest + 1)
    if claim.epoch < newest:
        raise EpochRefused(SensorFault.STALE_EPOCH)
    return claim.epoch


async def _recent(session: AsyncSession, sensor: str, number: int) -> list[SensorAnswer]:
    query = select(SensorResultRow.answer).where(SensorResultRow.sensor == sensor)
    newest = SensorResultRow.epoch.desc(), SensorResultRow.first_sequence.desc()
    query = query.order_by(*newest).limit(number)
    return [SensorAnswer.model_validate_json(text) for text in await session.scalars(query)][::-1]
