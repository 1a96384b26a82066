"""The process that teaches: kept warm, replaced when it dies, ended in time. Fakes are scripts."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from service.teach.runs.job import Job, Message, Said
from service.teach.runs.process import ProcessEnded, TeachingProcess
from tests.support.waiting import eventually

ECHO = """
import os, sys
print('{"said": "ready"}', flush=True)
for line in sys.stdin:
    print('{"said": "progress", "done": %d}' % os.getpid(), flush=True)
    print('{"said": "finished"}', flush=True)
"""
SILENT = 'import sys\nfor line in sys.stdin: print(\'{"said": "progress"}\', flush=True)'
BREAKS = "import sys\nsys.stdin.readline()"
MUMBLES = "import sys\nsys.stdin.readline()\nprint('half a li', end='')"
pytestmark = [pytest.mark.anyio, pytest.mark.process]
JOB = Job(kind="warm", base="/b/1", base_sha256="", cache="/c", photos=())


def script(text: str, *, warm_seconds: float = 60) -> TeachingProcess:
    return TeachingProcess((sys.executable, "-c", text), warm_seconds=warm_seconds)


async def done(process: TeachingProcess) -> list[Message]:
    return [message async for message in process.do(JOB)]


async def test_it_is_kept_for_the_next_job() -> None:
    process = script(ECHO)
    first, second = await done(process), await done(process)
    await process.close()
    assert [message.said for message in first] == [Said.PROGRESS, Said.FINISHED]
    assert first[0].done == second[0].done


async def test_it_ends_when_it_was_idle_for_a_while() -> None:
    process = script(ECHO, warm_seconds=0)
    await done(process)
    await eventually(lambda: process.pid is None)
    assert [message.said for message in await done(process)][-1] is Said.FINISHED
    await process.close()


@pytest.mark.parametrize("text", [BREAKS, MUMBLES, "import os; os._exit(3)"])
async def test_a_process_that_breaks_off_is_said_and_replaced(text: str) -> None:
    process = script(text)
    with pytest.raises(ProcessEnded, match="broke off"):
        await done(process)
    assert process.pid is None


async def test_a_killed_process_is_said_and_replaced() -> None:
    process = script(SILENT)

    async def kill() -> None:
        async with aclosing(process.do(JOB)) as messages:
            async for _ in messages:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(ProcessEnded, match="signal 9"):
        await kill()
    assert process.pid is None


async def test_a_caller_that_goes_away_ends_it() -> None:
    process = script(SILENT)
    async with aclosing(process.do(JOB)) as messages:
        async for _ in messages:
            pid = process.pid
            break
    assert pid is not None
    assert process.pid is None
    assert not psutil.pid_exists(pid)


async def test_a_command_that_is_missing_is_said(tmp_path: Path) -> None:
    process = TeachingProcess((str(tmp_path / "missing"),))
    with pytest.raises(ProcessEnded, match="cannot be started"):
        await done(process)


def loaded(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for priorities")
async def test_the_real_one_has_the_lowest_priority_and_loads_no_server() -> None:
    process = TeachingProcess()
    try:
        found = await done(process)
        assert process.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
        maps = loaded(process.pid)
    finally:
        await process.close()
    # The base is missing, which is said and does not end it.
    assert [message.said for message in found][-1] is Said.FAILED
    for module in ("sqlalchemy", "uvloop", "grpc", "httptools"):
        assert module not in maps


async def test_it_ends_with_the_server() -> None:
    process = TeachingProcess()
    await done(process)
    assert process.pid is not None
    child = psutil.Process(process.pid)
    await process.close()
    with pytest.raises(psutil.NoSuchProcess):
        child.status()
