"""A sender that is killed loses no event, and repeats none that was acknowledged."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from auth.store.database import database_url, open_database
from service.cameras.results.webhooks import output_name
from service.cameras.store.tables import CameraEventRow
from service.coordination.cursors import CursorStore
from service.coordination.ports import OutputCursor
from tests.support.repository import ROOT
from tests.support.results.fakes import event
from tests.support.results.receiver import receiving
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KILLS = 4
BETWEEN = 5
"""Events that are acknowledged between two kills."""
LAST = KILLS * BETWEEN + 5


async def prepare(file: Path, url: str) -> None:
    """Store the events, and let the output begin before the first."""
    async with open_database(database_url(None, file)) as database:
        async with database.write() as session:
            for number in range(1, LAST + 1):
                values = event(number).model_dump(exclude={"at"})
                session.add(CameraEventRow(**values, at=event(number).at.timestamp()))
        await CursorStore(database).save(output_name(url), OutputCursor(0))


@asynccontextmanager
async def deliverer(file: Path, url: str) -> AsyncIterator[None]:
    """Run the sender; kill it with SIGKILL."""
    module = "tests.support.results.deliverer"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(file), url, cwd=ROOT
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_no_event_is_lost_and_none_is_repeated_after_its_acknowledgement(
    tmp_path: Path,
) -> None:
    file = tmp_path / "potoo.db"
    with receiving() as receiver:
        url = f"{receiver.url}/hook"
        await prepare(file, url)
        for kill in range(KILLS):
            held = receiver.hold_from = (kill + 1) * BETWEEN + 1
            async with deliverer(file, url):
                # Its request has arrived, so the acknowledgement before it is saved.
                await eventually(partial(receiver.has_arrived, held))
        receiver.hold_from = LAST + 1
        async with deliverer(file, url):
            await eventually(lambda: LAST in receiver.acknowledged)
        sent = [(request.event, request.headers["webhook-id"]) for request in receiver.requests]
        acknowledged = receiver.acknowledged
    assert acknowledged == list(range(1, LAST + 1))
    # Those whose answer was held when the sender died were sent twice, with the same id.
    assert len(sent) == LAST + KILLS
    assert len(set(sent)) == LAST
