"""Reports of the watching process for the others: written when they change, or while wanted.

Flash is not written while nobody looks: a process that shows a camera asks for fresh reports for a
while, and the watching one sees that at its next look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from auth.store.database import Database
from schemas.cameras import CameraAnswer, CameraProblem, CameraStatus
from schemas.errors import NotReady
from service.cameras.store.tables import CameraReportRow
from service.coordination.wishes import WANTED_SECONDS, is_fresh


class CameraReport(BaseModel):
    """The part of ``Camera`` that only the watching process knows."""

    model_config = ConfigDict(frozen=True)

    status: CameraStatus = CameraStatus.STARTING
    state: str | None = None
    since: datetime | None = None
    answer: CameraAnswer | None = None
    last_frame_at: datetime | None = None
    motion: float | None = None
    frames: int = 0
    classified: int = 0
    problem: CameraProblem | None = None


class Preview(NamedTuple):
    """A small JPEG of the last frame, and when the frame was received."""

    image: bytes
    at: datetime


class ReportStore:
    """Reports by camera. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def write(self, camera: str, report: CameraReport) -> None:
        """Store a report; nothing happens if the camera was removed."""
        await self._put(camera, report=report.model_dump_json(), written=self._clock())

    async def write_preview(self, camera: str, preview: Preview) -> None:
        """Store a preview; nothing happens if the camera was removed."""
        await self._put(camera, preview=preview.image, preview_at=preview.at.timestamp())

    async def of(
        self, cameras: Collection[str], *, is_asking: bool = True
    ) -> dict[str, CameraReport]:
        """Return the last reports of these cameras, if they have one.

        Args:
            is_asking: ask the watching process for fresh ones.
        """
        query = select(CameraReportRow.camera, CameraReportRow.report, CameraReportRow.wanted_until)
        query = query.where(CameraReportRow.camera.in_(cameras))
        found, stale = {}, []
        async with self._database.read() as session:
            for camera, report, wanted_until in await session.execute(query):
                if report is not None:
                    found[camera] = CameraReport.model_validate_json(report)
                if is_asking and not is_fresh(wanted_until, self._clock()):
                    stale.append(camera)
        with suppress(NotReady):  # on a full disk: reports stay as they are
            for camera in stale:
                await self._put(camera, wanted_until=self._clock() + WANTED_SECONDS)
        return found

    async def preview(self, camera: str) -> Preview | None:
        """Return the last preview, if there is one, and ask for fresh ones."""
        columns = (
            CameraReportRow.preview,
            CameraReportRow.preview_at,
            CameraReportRow.preview_wanted_until,
        )
        async with self._database.read() as session:
            query = select(*columns).where(CameraReportRow.camera == camera)
            row = (await session.execute(query)).first()
        if row is None or not is_fresh(row.preview_wanted_until, self._clock()):
            with suppress(NotReady):
                await self._put(camera, preview_wanted_until=self._clock() + WANTED_SECONDS)
        if row is None or row.preview is None or row.preview_at is None:
            return None
        return Preview(row.preview, datetime.fromtimestamp(row.preview_at, UTC))

    async def _put(self, camera: str, **values: object) -> None:
        query = self._database.insert(CameraReportRow).values(camera=camera, **values)
        query = query.on_conflict_do_update(index_elements=["camera"], set_=values)
        try:
            async with self._database.write() as session:
                await session.execute(query)
        except IntegrityError:
            pass  # the camera was removed
