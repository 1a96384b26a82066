"""Build the parts of cameras; part of the composition in ``service/runtime/runtime.py``.

Sources are imported when the first camera is opened: most servers have none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.cameras import CameraEvent
from service.cameras.administration import CameraAdministration
from service.cameras.fetching import FrameFetcher
from service.cameras.logins import Logins
from service.cameras.pipeline.budget import Budget
from service.cameras.sources.source import Frame, SourceSpec
from service.cameras.store.cameras import CameraStore, StoredCamera
from service.cameras.store.credentials import CredentialBox
from service.cameras.store.events import EventStore
from service.cameras.store.reports import ReportStore
from service.cameras.watching.classifying import FrameClassifier, PooledClassifier
from service.cameras.watching.decoding_time import children_seconds
from service.cameras.watching.directory import Directory
from service.cameras.watching.recording import Recorder
from service.cameras.watching.supervisor import Supervisor
from service.cameras.watching.watcher import Tools, Watcher
from service.coordination.cursors import CursorStore
from service.coordination.feed import EventFeed
from service.coordination.kept_events import Retention
from service.coordination.leases import FileLeases, TableLeases
from service.coordination.ports import Leases
from service.core.engine.pool import WorkerPool, usable_cores
from service.core.serving.classifier import Classifier
from service.settings import Settings

if TYPE_CHECKING:
    from service.cameras.sources.rules import SourceRules

KEY_FILE = "camera-credentials.key"
LEASES_FOLDER = "leases"


@dataclass(frozen=True, slots=True)
class Cameras:
    """The objects of cameras that routes and outputs use.

    Attributes:
        reported: for outputs, which look all the time: asks no process for fresh reports.
    """

    directory: Directory
    reported: Directory
    administration: CameraAdministration
    events: EventStore
    feed: EventFeed[CameraEvent]
    cursors: CursorStore
    leases: Leases
    fetcher: FrameFetcher
    classifier: FrameClassifier


class Sources:
    """Opens sources by the rules of the operator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.cameras

    def open(self, spec: SourceSpec) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        """Open the frames of a camera; see ``open_source``."""
        from service.cameras.sources.opening import open_source

        return open_source(spec, self._rules())

    async def check(self, url: str) -> None:
        """Check a URL; see ``check_source``."""
        from service.cameras.sources.opening import check_source

        await check_source(url, self._rules())

    def _rules(self) -> SourceRules:
        from ipaddress import ip_network

        from service.cameras.sources.addresses import PRIVATE_NETWORKS
        from service.cameras.sources.rules import SourceRules

        settings = self._settings
        networks = tuple(ip_network(str(network)) for network in settings.networks)
        return SourceRules(networks or PRIVATE_NETWORKS, settings.files_dir, settings.ca_file)


def credential_box(settings: Settings) -> CredentialBox:
    """Return what encrypts the credentials of a store."""
    return CredentialBox(settings.data_dir / KEY_FILE, settings.cameras.credentials_key)


def event_store(settings: Settings, database: Database) -> EventStore:
    """Return the kept events."""
    given = settings.cameras
    return EventStore(database, Retention(given.events_days * 86_400, given.events_max))


@asynccontextmanager
async def open_cameras(
    settings: Settings,
    database: Database,
    audit: Audit,
    metrics: Metrics,
    pool: WorkerPool,
    classifier: Classifier,
) -> AsyncIterator[Cameras]:
    """Watch the cameras of the store until the ``with`` block ends."""
    cameras, reports = CameraStore(database), ReportStore(database)
    events = event_store(settings, database)
    feed, box, sources = EventFeed(events), credential_box(settings), Sources(settings)
    logins = Logins(box, settings.cameras.secrets_dir)
    frames = PooledClassifier(pool, classifier, settings.limits.of_images)
    # Each worker process may take cameras, and they share the cores.
    budget = Budget(settings.cameras.cpu_share * usable_cores() / settings.workers)
    max_bytes = settings.limits.max_body_bytes
    tools = Tools(sources.open, frames, logins.of, budget, metrics.cameras, max_bytes)

    def announce(event: CameraEvent) -> None:
        metrics.cameras.count_event(event.kind)
        feed.announce(event.id)

    def make_watcher(camera: StoredCamera) -> Watcher:
        return Watcher(camera, tools, Recorder(camera, cameras, events, announce))

    async with AsyncExitStack() as stack:
        stack.push_async_callback(feed.close)
        leases = _leases(settings, database, stack)
        supervisor = Supervisor(
            cameras,
            reports,
            leases,
            make_watcher,
            frames,
            metrics.cameras,
            budget,
            decoding_seconds=children_seconds,
            on_change=feed.wake,
        )
        for work in (supervisor.run(), events.keep_bounded()):
            stack.push_async_callback(_stop, asyncio.create_task(work))
        administration = CameraAdministration(
            cameras,
            box,
            audit,
            sources.check,
            most=settings.cameras.max_cameras,
            on_change=supervisor.nudge,
        )
        yield Cameras(
            directory=Directory(cameras, reports, supervisor.watchers, frames),
            reported=Directory(cameras, reports, supervisor.watchers, is_asking=False),
            administration=administration,
            events=events,
            feed=feed,
            cursors=CursorStore(database),
            leases=leases,
            fetcher=FrameFetcher(administration, logins, sources.open, max_bytes),
            classifier=frames,
        )


def _leases(settings: Settings, database: Database, stack: AsyncExitStack) -> Leases:
    if settings.database_url is None:
        return FileLeases(settings.data_dir / LEASES_FOLDER)
    leases = TableLeases(database)
    stack.push_async_callback(leases.close)
    return leases


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
