"""Cameras by name: configuration and state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, func, select

from schemas.cameras import CameraSpec
from service.cameras.store.tables import CameraEventRow, CameraReportRow, CameraRow
from service.coordination.subjects import SubjectStore


@dataclass(frozen=True, slots=True)
class StoredCamera:
    """One stored camera.

    Attributes:
        spec: without credentials.
        credentials: encrypted; see ``CredentialBox``.
        revision: grows with every change of the configuration.
        since: when the state began, in seconds since the epoch.
        is_silent: whether the last of the events ``silent`` and ``back`` is ``silent``.
    """

    name: str
    spec: CameraSpec
    credentials: str | None
    is_paused: bool
    created: float
    revision: int = 1
    state: str | None = None
    since: float | None = None
    is_silent: bool = False


class Glance(NamedTuple):
    """The values of a camera that the supervisor reads at every look.

    ``wanted_until``, ``preview_wanted_until``: seconds since the epoch; until then another process
    shows the camera.
    """

    name: str
    created: float
    revision: int
    wanted_until: float
    preview_wanted_until: float


class CameraStore(SubjectStore):
    """Cameras by name. Every method raises ``NotReady`` if the database does not answer."""

    _subjects = CameraRow

    async def all(self) -> list[StoredCamera]:
        """Return the cameras, ordered by name."""
        async with self._database.read() as session:
            rows = await session.scalars(select(CameraRow).order_by(CameraRow.name))
            return [_stored(row) for row in rows]

    async def get(self, name: str) -> StoredCamera | None:
        """Return the camera with that name, or None."""
        async with self._database.read() as session:
            row = await session.get(CameraRow, name)
            return _stored(row) if row else None

    async def glance(self) -> list[Glance]:
        """Return the revision of every camera: one query, which writes nothing."""
        query = select(
            CameraRow.name,
            CameraRow.created,
            CameraRow.revision,
            func.coalesce(CameraReportRow.wanted_until, 0.0),
            func.coalesce(CameraReportRow.preview_wanted_until, 0.0),
        ).outerjoin(CameraReportRow, CameraReportRow.camera == CameraRow.name)
        async with self._database.read() as session:
            return [Glance(*row) for row in await session.execute(query)]

    async def add(
        self, name: str, spec: CameraSpec, credentials: str | None, *, most: int
    ) -> StoredCamera:
        """Add a camera.

        Args:
            most: number of cameras allowed.

        Raises:
            NameTaken: the name is taken.
            TooMany: there are ``most`` already.
        """
        added = StoredCamera(name, spec, credentials, is_paused=False, created=self._clock())
        row = CameraRow(name=name, spec=_json(spec), credentials=credentials, created=added.created)
        await self._insert(row, most=most)
        return added

    async def change(self, name: str, spec: CameraSpec, credentials: str | None) -> bool:
        """Replace the configuration; return False if there is no such camera."""
        return await self._update(name, spec=_json(spec), credentials=credentials)

    async def remove(self, name: str) -> bool:
        """Remove a camera and its events; return False if there is no such camera."""
        async with self._database.write() as session:
            # The camera first: its row waits for an event that is being recorded.
            query = delete(CameraRow).where(CameraRow.name == name).returning(CameraRow.name)
            is_removed = (await session.execute(query)).first() is not None
            await session.execute(delete(CameraEventRow).where(CameraEventRow.camera == name))
        return is_removed


def _json(spec: CameraSpec) -> str:
    return spec.model_dump_json(exclude={"username", "password"}, exclude_defaults=True)


def _stored(row: CameraRow) -> StoredCamera:
    return StoredCamera(
        row.name,
        CameraSpec.model_validate_json(row.spec),
        row.credentials,
        row.is_paused,
        row.created,
        row.revision,
        row.state,
        row.since,
        row.is_silent,
    )
