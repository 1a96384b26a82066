"""A large body into a temporary file, so that memory does not grow with it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

from starlette.requests import Request

from schemas.errors import NotReady
from service.core.engine.pool import WorkerPool
from service.transport.http.body.body import BodyReader

WRITTEN_BYTES = 2**20
"""Held in memory before they are written."""
_FULL = "The disk of the server is full."
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Spool:
    """Where bodies wait.

    Attributes:
        folder: needs a disk with room; created if it is not there.
        limit: bytes of one body; ``keep_free``: of the disk, that it leaves free.
    """

    folder: Path
    limit: int
    keep_free: int


@asynccontextmanager
async def spooled(
    request: Request, reader: BodyReader, pool: WorkerPool, spool: Spool
) -> AsyncIterator[BinaryIO]:
    """Receive a body into a file without a name, which goes at the end of the ``with`` block.

    It goes with the process too, also one that is killed.

    Raises:
        NotReady: the disk is full.
        PayloadTooLarge, UnsupportedMediaType, UploadTimeout, ClientDisconnect: see
            ``BodyReader.pieces``.
    """
    with reader.budget.hold() as hold:
        hold.reserve(2 * WRITTEN_BYTES)
        with await pool.run(partial(_opened, spool.folder)) as file:
            held = bytearray()
            async for piece in reader.pieces(request, spool.limit):
                held += piece
                if len(held) >= WRITTEN_BYTES:
                    await pool.run(partial(_write, file, bytes(held), spool.keep_free))
                    held.clear()
            await pool.run(partial(_write, file, bytes(held), spool.keep_free))
            hold.release()
            file.seek(0)
            yield cast("BinaryIO", file)


def _opened(folder: Path) -> FileIO:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise _reason(error) from error


def _write(file: FileIO, data: bytes, keep_free: int) -> None:
    view = memoryview(data)
    disk = os.fstatvfs(file.fileno())
    if disk.f_bavail * disk.f_frsize - len(data) < keep_free:
        raise NotReady(_FULL)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise _reason(error) from error


def _reason(error: OSError) -> Exception:
    return NotReady(_FULL) if error.errno in _DISK_FULL else error
