"""The process that teaches, seen from the server: started when needed, kept warm, killed."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path

from service.teach.runs.job import Job, Message, Said

COMMAND = (sys.executable, "-P", "-m", "service.teach.runs.child")
WARM_SECONDS = 120.0
"""The process is kept so long after a job, so that the next click is quick."""
_ROOT = Path(__file__).parents[3]
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
)
_PREFIXES = ("PYTHON", "COVERAGE_", "OMP_", "OPENBLAS_", "MKL_")
_KILL_SECONDS = 5.0
_LINE_BYTES = 64 * 2**20
"""Longest message: a verdict on many photos."""
_LAST = frozenset({Said.FINISHED, Said.FAILED})


class ProcessEnded(Exception):
    """The process that teaches ended in the middle of a job. For people, a sentence."""


class TeachingProcess:
    """Starts the process for a job, and ends it when it was idle for a while.

    One job at a time.
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, *, warm_seconds: float = WARM_SECONDS
    ) -> None:
        self._command, self._warm_seconds = command, warm_seconds
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Process id; None if it does not run."""
        return self._process.pid if self._process is not None else None

    async def do(self, job: Job) -> AsyncGenerator[Message, None]:
        """Do a job, and yield what the process says; the last message says how it ended.

        Raises:
            ProcessEnded: it was killed, or cannot be started.
        """
        process = await self._started()
        is_over = False
        try:
            assert process.stdin  # noqa: S101 - pipes were asked for
            assert process.stdout  # noqa: S101
            process.stdin.write(job.line())
            with suppress(ConnectionError):
                await process.stdin.drain()
            while not is_over:
                line = await process.stdout.readline()
                if not line.endswith(b"\n"):
                    raise ProcessEnded(await self._why(process))
                message = Message.parse(line)
                is_over = message.said in _LAST
                if message.said is not Said.READY:
                    yield message
        finally:
            if is_over:
                self._keep_warm()
            else:  # in the middle of a job: it cannot take another one
                await self.stop()

    async def stop(self) -> None:
        """Kill the process and reap it. Files of a version are outside the repository yet."""
        self._cancel_idle()
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                await process.wait()

    async def close(self) -> None:
        """Kill the process for good."""
        await self.stop()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _started(self) -> Process:
        self._cancel_idle()
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(os.getpid()),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                # Ctrl-C in a terminal is for the server, which ends its processes in order.
                start_new_session=True,
                limit=_LINE_BYTES,
            )
        except OSError as error:
            message = "The process that teaches cannot be started."
            raise ProcessEnded(message) from error
        return self._process

    async def _why(self, process: Process) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
        code = process.returncode
        if code is not None and code < 0:
            return f"The process that teaches was ended by signal {-code}."
        return "The process that teaches broke off."

    def _keep_warm(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(self._warm_seconds, self._end_idle)

    def _end_idle(self) -> None:
        task = asyncio.ensure_future(self.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _environment() -> dict[str, str]:
    """Return what Python needs: the process decodes photos of callers and gets no secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_PREFIXES)
    }
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Threads of NumPy that wait for one another at idle priority are slower than one.
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}
