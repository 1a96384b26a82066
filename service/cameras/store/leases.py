"""Leases: one process among all does a thing, and another takes over when it dies.

On SQLite all processes share a machine, so a lease is a lock of a file: it costs no write to flash,
and the system frees it at once when its process is killed. On PostgreSQL it is a row with an expiry
by the database's clock, renewed for all leases of a process together.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import Double, Float, cast, delete, func, update
from sqlalchemy.sql.elements import ColumnElement

from auth.store.database import Database
from observability.logs.logging import get_logger
from schemas.errors import NotReady
from service.cameras.results.ports import LeaseLost
from service.cameras.store.tables import LeaseRow

RETRY_SECONDS = 1.0
RENEW_SECONDS = 2.0
LEASE_SECONDS = 8.0
"""Without renewal, another process may take the lease."""


class FileLeases:
    """Leases of the processes of one machine. Implements the port ``Leases``."""

    def __init__(self, folder: Path, *, retry: float = RETRY_SECONDS) -> None:
        """``folder``: of the locked files; created if needed. ``retry``: seconds."""
        self._folder, self._retry = folder, retry

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Wait until this process holds the lease, and hold it for the block."""
        file = self._folder / f"{name.replace(':', '.')}.lock"
        is_logged = False
        while True:
            try:
                if (descriptor := self._lock(file)) is not None:
                    break
            except OSError as error:
                if not is_logged:
                    is_logged = True
                    get_logger("cameras").error(
                        "cannot lock", file=str(file), reason=error.strerror
                    )
            await asyncio.sleep(self._retry)
        try:
            yield
        finally:
            with suppress(OSError):
                file.unlink()
            os.close(descriptor)

    def _lock(self, file: Path) -> int | None:
        """Return the descriptor of the locked file; None if another process holds it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        is_locked = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder removes the file when it ends: a lock of the removed one is worth nothing.
            is_locked = os.path.samestat(os.fstat(descriptor), file.stat())
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if not is_locked:
                os.close(descriptor)
        return descriptor if is_locked else None


class _Held:
    """A lease that this process waits for or holds."""

    def __init__(self) -> None:
        self.granted = asyncio.Event()
        self.scope: asyncio.Timeout | None = None


class TableLeases:
    """Leases as rows, for replicas on several machines. Implements the port ``Leases``."""

    def __init__(
        self,
        database: Database,
        *,
        renew: float = RENEW_SECONDS,
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``seconds``: a lease expires so long after its renewal. ``clock``: monotonic seconds."""
        self._database, self._clock = database, clock
        self._renew, self._seconds = renew, seconds
        self._owner = secrets.token_hex(16)
        self._leases: dict[str, _Held] = {}
        self._renewed_at = clock()
        self._keeping: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Wait until this process holds the lease, and hold it for the block.

        Raises:
            LeaseLost: from the block, if the lease was not renewed in time.
        """
        while name in self._leases:  # noqa: ASYNC110 - rare: another task of this process
            await asyncio.sleep(self._renew)
        held = self._leases[name] = _Held()
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())
        scope = asyncio.timeout(None)
        try:
            await held.granted.wait()
            async with scope:
                held.scope = scope
                yield
        except TimeoutError:
            if scope.expired():
                raise LeaseLost(name) from None
            raise
        finally:
            del self._leases[name]
            if held.granted.is_set():
                await self._release(name)

    async def _keep(self) -> None:
        """Renew and acquire leases while there are any."""
        while self._leases:
            try:
                await self._look()
            except NotReady:  # the database logs it
                self._expire()
            await asyncio.sleep(self._renew)

    async def _look(self) -> None:
        began = self._clock()
        until = _now(self._database.dialect) + self._seconds
        mine = [name for name, held in self._leases.items() if held.granted.is_set()]
        wanted = sorted(self._leases.keys() - set(mine))
        async with self._database.write() as session:
            query = update(LeaseRow).where(LeaseRow.owner == self._owner, LeaseRow.name.in_(mine))
            kept = await session.scalars(query.values(until=until).returning(LeaseRow.name))
            renewed, acquired = set(kept), set()
            for name in wanted:
                insert = self._database.insert(LeaseRow).values(
                    name=name, owner=self._owner, until=until
                )
                insert = insert.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"owner": self._owner, "until": until},
                    where=LeaseRow.until < _now(self._database.dialect),
                )
                if (await session.execute(insert.returning(LeaseRow.name))).first():
                    acquired.add(name)
        self._renewed_at = began
        for name in set(mine) - renewed:
            self._lose(name)
        for name in acquired:
            if name in self._leases:
                self._leases[name].granted.set()
            else:  # its task was cancelled meanwhile
                await self._release(name)

    def _expire(self) -> None:
        """Lose all leases if they could not be renewed in time: another process may take them."""
        if self._clock() - self._renewed_at >= self._seconds:
            for name, held in self._leases.items():
                if held.granted.is_set():
                    self._lose(name)

    def _lose(self, name: str) -> None:
        held = self._leases.get(name)
        if held is not None and held.scope is not None:
            get_logger("cameras").warning("lease lost", lease=name)
            held.scope.reschedule(asyncio.get_running_loop().time())
            held.scope = None

    async def _release(self, name: str) -> None:
        query = delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == self._owner)
        with suppress(NotReady):  # it expires
            async with self._database.write() as session:
                await session.execute(query)

    async def close(self) -> None:
        """End the task that renews."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)


def _now(dialect: str) -> ColumnElement[float]:
    """Return the database's clock, in seconds since the epoch."""
    if dialect == "sqlite":
        return (cast(func.julianday("now"), Float) - 2440587.5) * 86_400.0
    return cast(func.extract("epoch", func.clock_timestamp()), Double)
