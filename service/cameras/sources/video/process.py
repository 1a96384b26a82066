"""A decoding process: started, read with a time limit, killed and reaped."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed
from service.cameras.sources.video.protocol import HEADER, Message, Request

COMMAND = (sys.executable, "-P", "-m", "service.cameras.sources.video.child")
_ROOT = Path(__file__).parents[4]
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"}
)
_PREFIXES = ("PYTHON", "COVERAGE_")
START_SECONDS = 30.0
"""Until the libraries are loaded, on a machine that is busy."""
OPEN_TIMEOUTS = 3
"""Time-outs until the source is open: it connects, asks several times, and sees first frames."""
_KILL_SECONDS = 5.0
_BUFFER = 2**18


class VideoProcess:
    """A running decoding process.

    Args:
        process: the process; its stdout is read here alone.
        max_bytes: of one message.
    """

    def __init__(self, process: Process, max_bytes: int) -> None:
        self._process, self._max_bytes = process, max_bytes

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def read(self, timeout: float) -> tuple[Message, bytes]:
        """Return the next message.

        Raises:
            SourceFailed: what the process says; ``timeout`` if it says nothing; ``too_large``;
                ``decoder`` if it broke off.
        """
        assert self._process.stdout  # noqa: S101 - a pipe was asked for
        try:
            async with asyncio.timeout(timeout):
                header = await self._process.stdout.readexactly(HEADER.size)
                kind, length = HEADER.unpack(header)
                if length > self._max_bytes:
                    message = "The camera's picture is larger than allowed"
                    raise SourceFailed(CameraFailure.TOO_LARGE, message)
                payload = await self._process.stdout.readexactly(length)
            said = Message(kind)
        except TimeoutError:
            message = f"The camera sends nothing within {timeout:g} s; its decoder was ended"
            raise SourceFailed(CameraFailure.TIMEOUT, message) from None
        except (asyncio.IncompleteReadError, ValueError):
            raise SourceFailed(CameraFailure.DECODER, await self._why_broken()) from None
        if said is Message.FAILED:
            failure = json.loads(payload)
            raise SourceFailed(CameraFailure(failure["reason"]), failure["detail"])
        return said, payload

    async def _why_broken(self) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._process.wait()
        code = self._process.returncode
        if code is not None and code < 0:
            return f"The decoding process was ended by signal {-code}"
        return "The decoding process broke off"

    async def stop(self) -> None:
        """Kill the process, whatever it does, and reap it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        # A process inside a driver dies only when the driver lets it; it is reaped then.
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                await self._process.wait()


@asynccontextmanager
async def video_process(
    request: Request, max_bytes: int, command: Sequence[str] = COMMAND
) -> AsyncIterator[VideoProcess]:
    """Start a decoding process and give it its request; kill it on exit.

    Args:
        request: holds credentials; it goes through a pipe.
        max_bytes: of one message.
        command: of the process.

    Raises:
        SourceFailed: ``decoder``: the process cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(),
            pass_fds=() if request.descriptor is None else (request.descriptor,),
            # Ctrl-C in a terminal is for the server, which ends its processes in order.
            start_new_session=True,
            limit=_BUFFER,
        )
    except OSError:
        message = "The decoding process cannot be started"
        raise SourceFailed(CameraFailure.DECODER, message) from None
    running = VideoProcess(process, max_bytes)
    try:
        assert process.stdin  # noqa: S101 - a pipe was asked for
        process.stdin.write(request.pack())
        with suppress(ConnectionError):
            await process.stdin.drain()
        yield running
    finally:
        await running.stop()


def _environment() -> dict[str, str]:
    """Return what Python needs: the process decodes hostile data and gets no secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_PREFIXES)
    }
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}
