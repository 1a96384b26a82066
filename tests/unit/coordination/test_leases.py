"""Leases: one holder at a time, freed when it ends, lost when it cannot be renewed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from auth.store.database import Database
from observability.metrics.metrics import Metrics
from observability.metrics.store_watch import StoreWatch
from service.coordination.leases import FileLeases, TableLeases
from service.coordination.ports import LeaseLost, Leases
from service.coordination.tables import LeaseRow
from tests.support.repository import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.sql]
Make = Callable[[], Leases]


@pytest.fixture(params=["files", "rows"])
def make(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Make:
    """Makes the leases of one more process."""
    if request.param == "files":
        return lambda: FileLeases(tmp_path / "leases", retry=0.01)
    return lambda: TableLeases(database, renew=0.02, seconds=20)


async def hold(leases: Leases, name: str, held: list[str], who: str) -> None:
    async with leases.hold(name):
        held.append(who)
        await asyncio.Event().wait()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - no event says when it happens
            await asyncio.sleep(0.005)


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_process_holds_and_another_follows(make: Make) -> None:
    held: list[str] = []
    first = asyncio.create_task(hold(make(), "camera:door", held, "first"))
    await until(lambda: held == ["first"])
    second = asyncio.create_task(hold(make(), "camera:door", held, "second"))
    other = asyncio.create_task(hold(make(), "camera:yard", held, "other"))
    await until(lambda: "other" in held)
    assert "second" not in held
    await ended(first)
    await until(lambda: "second" in held)
    await ended(second, other)


async def test_lease_can_be_held_again_and_again(make: Make) -> None:
    leases = make()
    for _ in range(3):
        async with leases.hold("camera:door"):
            pass


async def test_names_of_one_process_are_independent(make: Make) -> None:
    leases = make()
    async with leases.hold("a"), leases.hold("b"):
        pass


async def test_cancelled_waiter_takes_nothing(make: Make) -> None:
    held: list[str] = []
    first = asyncio.create_task(hold(make(), "x", held, "first"))
    await until(lambda: held == ["first"])
    second = asyncio.create_task(hold(make(), "x", held, "second"))
    await asyncio.sleep(0.05)
    await ended(second, first)
    third = asyncio.create_task(hold(make(), "x", held, "third"))
    await until(lambda: held == ["first", "third"])
    await ended(third)


async def broken(database: Database, leases: TableLeases, statement: str) -> None:
    """Hold a lease, break it, and wait for the end of the block."""
    async with leases.hold("x"):
        async with database.write() as session:
            await session.execute(text(statement))
        await asyncio.Event().wait()


async def test_stolen_lease_ends_the_block(database: Database) -> None:
    leases = TableLeases(database, renew=0.02, seconds=20)
    with pytest.raises(LeaseLost):
        await broken(database, leases, "UPDATE leases SET owner = 'another'")


async def test_lease_that_cannot_be_renewed_is_lost(database: Database) -> None:
    leases = TableLeases(database, renew=0.01, seconds=0.3)
    with pytest.raises(LeaseLost):
        await broken(database, leases, "DROP TABLE leases")


async def test_lease_is_lost_in_time_while_the_database_is_silent(database: Database) -> None:
    leases = TableLeases(database, renew=1000, seconds=0.1)
    with pytest.raises(LeaseLost):
        async with leases.hold("x"):
            await asyncio.Event().wait()
    await leases.close()


async def test_expired_lease_is_taken_over(database: Database) -> None:
    async with database.write() as session:
        session.add(LeaseRow(name="x", owner="dead", until=1.0))
    alive = TableLeases(database, renew=0.02, seconds=20)
    async with asyncio.timeout(30), alive.hold("x"):
        pass


class Watch(StoreWatch):
    """Failures of a database."""

    def __init__(self) -> None:
        super().__init__(Metrics(), "accounts", fails="fails", works="works")
        self.failures: list[str] = []
        self.successes = 0

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    def worked(self) -> None:
        self.successes += 1


async def test_processes_that_wait_for_each_others_leases_do_not_lock_each_other(
    database: Database,
) -> None:
    first, second = (TableLeases(database, renew=0.001, seconds=20) for _ in range(2))
    names, held = [f"camera:{number}" for number in range(8)], list[str]()
    tasks = []
    for number, name in enumerate(names):
        leases = first if number % 2 else second
        tasks.append(asyncio.create_task(hold(leases, name, held, name)))
    await until(lambda: len(held) == len(names))
    database.writing = watch = Watch()
    for number, name in enumerate(names):
        other = second if number % 2 else first
        tasks.append(asyncio.create_task(hold(other, name, held, f"other {name}")))
    await until(lambda: watch.successes > 200)
    assert not watch.failures
    await ended(*tasks)


async def test_error_of_the_block_passes(make: Make) -> None:
    for error in (TimeoutError, ValueError):
        with pytest.raises(error):
            async with make().hold("x"):
                raise error


@pytest.mark.process
def test_killed_process_frees_its_files(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from service.coordination.leases import FileLeases

async def main():
    async with FileLeases(Path(sys.argv[1])).hold("camera:door"):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
        process.wait()

    async def take() -> None:
        async with asyncio.timeout(30), FileLeases(tmp_path, retry=0.01).hold("camera:door"):
            pass

    asyncio.run(take())
