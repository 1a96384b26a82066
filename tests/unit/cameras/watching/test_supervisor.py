"""Two processes that watch the cameras of one store, and what callers of either see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from auth.store.database import Database
from observability.metrics.metrics import Metrics
from schemas.cameras import Camera, CameraSpec, CameraStatus
from service.cameras.pipeline.budget import Budget
from service.cameras.store.cameras import CameraStore, Glance, StoredCamera
from service.cameras.store.events import EventStore
from service.cameras.store.reports import CameraReport, ReportStore
from service.cameras.store.tables import CameraReportRow
from service.cameras.watching.directory import Directory
from service.cameras.watching.recording import Recorder
from service.cameras.watching.supervisor import Supervisor
from service.cameras.watching.watcher import Tools, Watcher
from service.coordination.kept_events import Retention
from service.coordination.leases import FileLeases
from tests.support.cameras.fakes import FakeModels, FakeSource
from tests.support.waiting import eventually, turns

pytestmark = pytest.mark.anyio
SPEC = CameraSpec(url="http://192.168.1.2/", agree=1, of=1)


@dataclass
class Process:
    """What a server process has of cameras."""

    supervisor: Supervisor
    directory: Directory
    reported: Directory
    source: FakeSource
    metrics: Metrics
    task: asyncio.Task[None]
    changes: list[None]

    async def shown(self) -> Camera:
        found = await self.directory.get("door")
        assert found is not None
        return found

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Noting(Budget):
    """Notes what the decoding processes took."""

    def __init__(self) -> None:
        super().__init__(1)
        self.noted: list[float] = []

    def note_decoding(self, cores: float) -> None:
        self.noted.append(cores)
        super().note_decoding(cores)


class SlowStore(CameraStore):
    """Answers a look when it may."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.began, self.may_answer, self.answered = asyncio.Event(), asyncio.Event(), False

    async def glance(self) -> list[Glance]:
        self.began.set()
        await self.may_answer.wait()
        found = await super().glance()
        self.answered = True
        return found


@asynccontextmanager
async def process(
    database: Database,
    leases: Path,
    budget: Budget | None = None,
    *,
    decoding: Callable[[], float] = lambda: 0.0,
    cameras: CameraStore | None = None,
) -> AsyncIterator[Process]:
    cameras = cameras or CameraStore(database)
    reports, metrics = ReportStore(database), Metrics()
    events = EventStore(database, Retention(1e6, 1000))
    source, models, budget = FakeSource(), FakeModels(), budget or Budget(1)
    tools = Tools(source.open, models, lambda _: None, budget, metrics.cameras, 1000)
    changes = list[None]()

    def make(camera: StoredCamera) -> Watcher:
        return Watcher(camera, tools, Recorder(camera, cameras, events, lambda _: None))

    supervisor = Supervisor(
        cameras,
        reports,
        FileLeases(leases, retry=0.01),
        make,
        models,
        metrics.cameras,
        budget,
        decoding_seconds=decoding,
        on_change=lambda: changes.append(None),
        look=0.02,
    )
    directory = Directory(cameras, reports, supervisor.watchers, models)
    reported = Directory(cameras, reports, supervisor.watchers, is_asking=False)
    run = asyncio.create_task(supervisor.run())
    found = Process(supervisor, directory, reported, source, metrics, run, changes)
    try:
        yield found
    finally:
        await found.kill()


@pytest.fixture
async def cameras(database: Database) -> CameraStore:
    store = CameraStore(database)
    await store.add("door", SPEC, None, most=5)
    return store


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / "leases"


async def until_shown(one: Process, **members: object) -> None:
    async with asyncio.timeout(30):
        while not is_shown(await one.shown(), members):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def is_shown(camera: Camera, members: dict[str, object]) -> bool:
    return all(getattr(camera, name) == value for name, value in members.items())


@pytest.mark.usefixtures("cameras")
async def test_one_process_watches_and_the_other_shows_and_follows(
    database: Database, leases: Path
) -> None:
    async with process(database, leases) as first:
        await eventually(lambda: "door" in first.supervisor.watchers)
        async with process(database, leases) as second:
            first.source.give(b"cat", b"cat")
            await until_shown(first, state="cat", frames=2, status=CameraStatus.WATCHING)
            await until_shown(second, state="cat", frames=2, status=CameraStatus.WATCHING)
            own, other = [await one.directory.frame(await one.shown()) for one in (first, second)]
            assert own is not None
            assert other is not None
            assert own.image == other.image == b"cat"
            assert second.source.opened == []
            await first.kill()
            second.source.give(b"cat", b"dog")
            await until_shown(second, state="dog", frames=2)
            assert len(second.source.opened) == 1


async def test_changes_of_the_store_are_followed(
    database: Database, leases: Path, cameras: CameraStore
) -> None:
    async with process(database, leases) as one:
        await eventually(lambda: len(one.source.opened) == 1)
        await cameras.change("door", SPEC.model_copy(update={"url": "http://192.168.1.3/"}), None)
        await eventually(lambda: len(one.source.opened) == 2)
        assert one.source.opened[1].url == "http://192.168.1.3/"
        await cameras.pause("door", is_paused=True)
        await eventually(lambda: not one.supervisor.watchers)
        assert (await one.shown()).status is CameraStatus.PAUSED
        assert 'camera="door"' not in one.metrics.exposition("")[0].decode()
        await cameras.pause("door", is_paused=False)
        await eventually(lambda: len(one.source.opened) == 3)
        await cameras.remove("door")
        await cameras.add("door", SPEC, None, most=1)
        await eventually(lambda: len(one.source.opened) == 4)
        await cameras.remove("door")
        await eventually(lambda: not one.supervisor.watchers)
        assert await one.directory.get("door") is None


async def test_changes_and_removals_by_any_process_are_announced(
    database: Database, leases: Path, cameras: CameraStore
) -> None:
    async with process(database, leases) as one, process(database, leases) as other:
        for found in (one, other):
            await eventually(lambda found=found: "door" in found.supervisor._tasks)  # type: ignore[misc]
        await cameras.add("yard", SPEC, None, most=5)
        await cameras.pause("door", is_paused=True)
        await eventually(lambda: len(one.changes) == len(other.changes) == 1)
        await cameras.remove("door")
        await eventually(lambda: len(one.changes) == len(other.changes) == 2)


async def test_camera_is_watched_at_once_after_a_nudge(
    database: Database, leases: Path, cameras: CameraStore
) -> None:
    async with process(database, leases) as one:
        await eventually(lambda: "door" in one.supervisor.watchers)
        await cameras.add("yard", SPEC, None, most=5)
        one.supervisor.nudge()
        await eventually(lambda: set(one.supervisor.watchers) == {"door", "yard"})


@pytest.mark.usefixtures("cameras")
async def test_reports_are_written_for_news_and_while_they_are_wanted(
    database: Database, leases: Path
) -> None:
    async def frames() -> int:
        """Number of frames in the stored report."""
        async with database.read() as session:
            report = await session.scalar(select(CameraReportRow.report))
        return CameraReport.model_validate_json(report or "{}").frames

    async with process(database, leases) as one:
        one.source.give(b"cat")
        await until_shown(one, state="cat")
        await one.supervisor._look()
        assert await frames() == 1, "the state is news"
        one.source.give(b"cat", b"cat")
        await until_shown(one, frames=3)
        await one.supervisor._look()
        assert await frames() == 1
        assert await ReportStore(database).of(["door"])
        await one.supervisor._look()
        assert await frames() == 3


@pytest.mark.usefixtures("cameras")
async def test_outputs_see_changes_and_ask_for_no_report(database: Database, leases: Path) -> None:
    async with process(database, leases) as first, process(database, leases) as second:
        await eventually(lambda: bool(first.supervisor.watchers or second.supervisor.watchers))
        watching, other = (first, second) if first.supervisor.watchers else (second, first)
        watching.source.give(b"cat")
        async with asyncio.timeout(30):
            while (await other.reported.list())[0].state != "cat":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    async with database.read() as session:
        assert await session.scalar(select(CameraReportRow.wanted_until)) == 0


@pytest.mark.usefixtures("cameras")
async def test_decoding_before_the_first_look_costs_no_camera_its_interval(
    database: Database, leases: Path
) -> None:
    budget = Noting()
    async with process(database, leases, budget, decoding=lambda: 1000.0) as one:
        await eventually(lambda: "door" in one.supervisor.watchers)
        looks = len(budget.noted)
        await eventually(lambda: len(budget.noted) > looks + 2)
    assert set(budget.noted) == {0}


async def test_a_look_is_finished_before_the_end(database: Database, leases: Path) -> None:
    """Cancelled in the store, it would leave a traceback in the log of a start that fails."""
    store = SlowStore(database)
    async with process(database, leases, cameras=store) as one:
        await store.began.wait()
        one.task.cancel()
        await turns()
        assert not one.task.done()
        store.may_answer.set()
        await asyncio.wait([one.task])
    assert store.answered
