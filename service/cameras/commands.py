"""The parts of cameras that commands use: no watching, and no models."""

from __future__ import annotations

from dataclasses import dataclass

from auth.store.database import Database
from observability.logs.audit import Audit
from schemas.cameras import Camera
from schemas.errors import NotFound
from service.cameras.administration import CameraAdministration
from service.cameras.fetching import FrameFetcher
from service.cameras.logins import Logins
from service.cameras.opening import Sources, credential_box, event_store
from service.cameras.store.cameras import CameraStore
from service.cameras.store.events import EventStore
from service.cameras.store.reports import ReportStore
from service.cameras.watching.directory import Directory
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class CameraCommands:
    """Cameras of a store that a server may be watching."""

    administration: CameraAdministration
    directory: Directory
    events: EventStore
    fetcher: FrameFetcher

    async def get(self, name: str) -> Camera:
        """Return a camera.

        Raises:
            NotFound: there is none.
        """
        found = await self.directory.get(name)
        if found is None:
            raise NotFound("There is no camera with this name.")
        return found


def camera_commands(settings: Settings, database: Database, audit: Audit) -> CameraCommands:
    """Build the parts on an open store."""
    cameras, box, sources = CameraStore(database), credential_box(settings), Sources(settings)
    administration = CameraAdministration(
        cameras, box, audit, sources.check, most=settings.cameras.max_cameras
    )
    return CameraCommands(
        administration,
        Directory(cameras, ReportStore(database)),
        event_store(settings, database),
        FrameFetcher(
            administration,
            Logins(box, settings.cameras.secrets_dir),
            sources.open,
            settings.limits.max_body_bytes,
        ),
    )
