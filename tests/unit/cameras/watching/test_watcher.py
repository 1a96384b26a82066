"""One camera, watched with a source and models written by hand, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from auth.store.database import Database
from observability.metrics.metrics import Metrics
from schemas.cameras import CameraFailure, CameraSpec, CameraStatus
from schemas.errors import InvalidImage, ModelNotFound, NotReady, Overloaded, ServiceError
from service.cameras.pipeline.budget import Budget
from service.cameras.sources.source import SourceFailed
from service.cameras.store.cameras import CameraStore, StoredCamera
from service.cameras.store.credentials import CredentialsUnreadable, Login
from service.cameras.store.events import Change, EventStore
from service.cameras.watching.recording import Recorder
from service.cameras.watching.watcher import Tools, Watcher
from service.coordination.kept_events import Retention
from tests.support.cameras.fakes import FakeModels, FakeSource
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("error")]
CLOSED = SourceFailed(CameraFailure.UNREACHABLE, "The camera refuses the connection")


@dataclass
class Bench:
    """A watcher and what is around it."""

    database: Database
    source: FakeSource
    models: FakeModels
    watcher: Watcher
    events: EventStore
    metrics: Metrics
    announced: list[int]
    budget: Budget

    async def kinds(self) -> list[tuple[str, str | None]]:
        return [(one.kind, one.state) for one in await self.events.after(0, 100)]

    async def recorded(self, *kinds: tuple[str, str | None]) -> None:
        """Wait until these are the events."""
        async with asyncio.timeout(30):
            while await self.kinds() != list(kinds):  # noqa: ASYNC110 - other processes write too
                await asyncio.sleep(0.005)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"camera": "door", **labels})


@asynccontextmanager
async def watching(
    database: Database,
    spec: dict[str, object] | None = None,
    *,
    login: Login | CredentialsUnreadable | None = None,
    records: EventStore | None = None,
) -> AsyncIterator[Bench]:
    cameras, metrics = CameraStore(database), Metrics()
    events = records or EventStore(database, Retention(1e6, 1000))
    members = {"url": "http://192.168.1.2/", "agree": 1, "of": 1, **(spec or {})}
    camera = await cameras.get("door")
    if camera is None:
        camera = await cameras.add("door", CameraSpec.model_validate(members), None, most=1)

    def log_in(_: StoredCamera) -> Login | None:
        if isinstance(login, CredentialsUnreadable):
            raise login
        return login

    source, models, announced = FakeSource(), FakeModels(), list[int]()
    budget = Budget(1)
    tools = Tools(source.open, models, log_in, budget, metrics.cameras, 1000)
    recorder = Recorder(camera, cameras, events, lambda event: announced.append(event.id))
    watcher = Watcher(camera, tools, recorder)
    task = asyncio.create_task(watcher.run())
    try:
        yield Bench(database, source, models, watcher, events, metrics, announced, budget)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_state_changes_are_recorded_and_announced(database: Database) -> None:
    async with watching(database) as bench:
        assert bench.watcher.live.status is CameraStatus.STARTING
        bench.source.give(b"cat", b"cat", b"dog")
        await bench.recorded(("state", "cat"), ("state", "dog"))
        await eventually(lambda: len(bench.announced) == 2)
        assert bench.watcher.live.report().status is CameraStatus.WATCHING
        assert bench.sample("potoo_camera_frames_total") == 3
        assert bench.sample("potoo_camera_state", state="dog") == 1
        assert bench.sample("potoo_camera_state", state="cat") == 0
        (spec,) = bench.source.opened
        assert (spec.url, spec.username, spec.max_bytes) == ("http://192.168.1.2/", None, 1000)


async def test_restart_goes_on_from_the_stored_state(database: Database) -> None:
    async with watching(database) as bench:
        bench.source.give(b"cat")
        await bench.recorded(("state", "cat"))
    async with watching(database) as bench:
        assert bench.watcher.live.state == "cat"
        bench.source.give(b"cat", b"cat")
        await eventually(lambda: bench.watcher.live.classified == 2)
        bench.source.give(b"dog")
        await bench.recorded(("state", "cat"), ("state", "dog"))


async def test_failed_source_is_opened_again(database: Database) -> None:
    async with watching(database, login=Login("anna", "secret")) as bench:
        bench.source.give(CLOSED, b"end", b"cat")
        await bench.recorded(("state", "cat"))
        assert len(bench.source.opened) == 3
        assert bench.source.opened[0].password == "secret"
        assert bench.sample("potoo_camera_failures_total", reason="unreachable") == 1
        assert bench.sample("potoo_camera_failures_total", reason="ended") == 1
        assert bench.sample("potoo_camera_reconnects_total") == 2
        assert bench.watcher.live.problem is None


async def test_failure_is_shown_until_there_is_a_frame(database: Database) -> None:
    async with watching(database) as bench:
        bench.source.give(CLOSED, CLOSED)
        await eventually(lambda: attempts(bench) == 2)
        problem = bench.watcher.live.problem
        assert problem is not None
        assert (problem.reason, problem.detail) == (CLOSED.reason, CLOSED.detail)
        bench.source.give(b"cat")
        await eventually(lambda: bench.watcher.live.problem is None)


def attempts(bench: Bench) -> int:
    problem = bench.watcher.live.problem
    return problem.attempts if problem else 0


async def test_unreadable_credentials_are_a_problem_of_the_camera(database: Database) -> None:
    async with watching(database, login=CredentialsUnreadable("another key")) as bench:
        await eventually(lambda: attempts(bench) == 1)
        problem = bench.watcher.live.problem
        assert problem is not None
        assert (problem.reason, problem.detail) == (CameraFailure.UNAUTHORIZED, "another key")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidImage(), CameraFailure.NOT_AN_IMAGE),
        (ModelNotFound(), CameraFailure.MODEL),
        (NotReady(), CameraFailure.MODEL),
        (Overloaded(retry_after=0.001), None),
    ],
)
async def test_frame_without_an_answer_says_why(
    database: Database, error: ServiceError, reason: CameraFailure | None
) -> None:
    async with watching(database) as bench:
        bench.models.error = error
        bench.source.give(b"cat", b"cat")
        await eventually(lambda: bench.watcher.live.frames == 2)
        await eventually(bench.source.steps.empty)
        problem = bench.watcher.live.problem
        assert (problem and problem.reason) == reason
        bench.models.error = None
        bench.source.give(b"cat")
        await bench.recorded(("state", "cat"))
        assert bench.watcher.live.problem is None
        assert len(bench.source.opened) == 1, "the source is not at fault"


async def test_gate_spares_the_model(database: Database) -> None:
    async with watching(database, {"motion_threshold": 0.5}) as bench:
        bench.source.give(b"cat", b"cat", b"cat", b"dog", b"dog")
        await bench.recorded(("state", "cat"), ("state", "dog"))
        await eventually(lambda: bench.watcher.live.frames == 5)
        assert bench.models.classified == [b"cat", b"dog"]
        assert bench.models.owners == {"door"}


async def test_silence_and_return_are_events(database: Database) -> None:
    async with watching(database, {"silent_after_seconds": 1, "every_seconds": 0.1}) as bench:
        bench.source.give(b"cat")
        await bench.recorded(("state", "cat"))
        await bench.recorded(("state", "cat"), ("silent", "cat"))
        assert bench.watcher.live.status is CameraStatus.SILENT
        assert bench.sample("potoo_camera_silent") == 1
    async with watching(database) as bench:
        assert bench.watcher.live.status is CameraStatus.SILENT, "as before the restart"
        bench.source.give(b"cat")
        await bench.recorded(("state", "cat"), ("silent", "cat"), ("back", "cat"))
        assert bench.sample("potoo_camera_silent") == 0


async def test_camera_is_in_time_again_once_the_others_are_gone(database: Database) -> None:
    async with watching(database) as bench:
        bench.budget.note_frame("another", every=0.1, cost=1000)
        bench.source.give(b"cat", b"dog")
        await bench.recorded(("state", "cat"))
        assert bench.budget.stretch > 1000
        bench.budget.forget("another")
        await bench.recorded(("state", "cat"), ("state", "dog"))


class FullDisk(EventStore):
    """Fails while it is full."""

    is_full = True
    refused = 0

    async def record(self, change: Change):  # type: ignore[no-untyped-def]  # noqa: ANN201
        if self.is_full:
            self.refused += 1
            raise NotReady
        return await super().record(change)


async def test_full_disk_does_not_stop_the_camera(
    database: Database, log: list[dict[str, object]]
) -> None:
    disk = FullDisk(database, Retention(1e6, 1000))
    async with watching(database, records=disk) as bench:
        bench.source.give(b"cat", b"cat", b"dog", b"cat")
        await eventually(lambda: bench.watcher.live.classified == 4)
        assert bench.watcher.live.state == "cat"
        assert disk.refused == 1, "it is asked again after a pause"
        assert [line["event"] for line in log].count("cannot keep events") == 1
        disk.is_full = False
        await bench.recorded(("state", "cat"))


async def test_removed_camera_records_nothing(database: Database) -> None:
    async with watching(database) as bench:
        await CameraStore(database).remove("door")
        bench.source.give(b"cat", b"dog")
        await eventually(lambda: bench.watcher.live.classified == 2)
        assert await bench.kinds() == []
