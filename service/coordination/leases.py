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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import Double, Float, cast, delete, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from auth.store.database import Database
from observability.logs.logging import get_logger
from schemas.errors import NotReady
from service.coordination.ports import LeaseLost
from service.coordination.tables import LeaseRow

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
    """A lease that this process waits for or holds.

    Attributes:
        expires_at: when another process may take it, on the clock of the event loop.
        scope: around the block that holds it; None before.
    """

    def __init__(self) -> None:
        self.granted = asyncio.Event()
        self.expires_at = 0.0
        self.scope: asyncio.Timeout | None = None

    def extend(self, expires_at: float) -> None:
        """Note a renewal."""
        self.expires_at = expires_at
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(expires_at)


class TableLeases:
    """Leases as rows, for replicas on several machines. Implements the port ``Leases``."""

    def __init__(
        self, database: Database, *, renew: float = RENEW_SECONDS, seconds: float = LEASE_SECONDS
    ) -> None:
        """``renew``: between renewals. ``seconds``: a lease expires so long after its renewal."""
        self._database, self._renew, self._seconds = database, renew, seconds
        self._owner = secrets.token_hex(16)
        self._leases: dict[str, _Held] = {}
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
        try:
            await held.granted.wait()
            # The block ends in time even if the database takes long to say that it fails.
            async with asyncio.timeout_at(held.expires_at) as held.scope:
                yield
        except TimeoutError:
            if held.scope is not None and held.scope.expired():
                get_logger("cameras").warning("lease lost", lease=name)
                raise LeaseLost(name) from None
            raise
        finally:
            del self._leases[name]
            if held.granted.is_set():
                await self._release(name)

    async def _keep(self) -> None:
        """Renew and acquire leases while there are any."""
        while self._leases:
            with suppress(NotReady):  # the database logs it, and leases expire
                await self._renew_held()
                for name in await self._free():
                    await self._acquire(name)
            await asyncio.sleep(self._renew)

    async def _renew_held(self) -> None:
        expires_at = asyncio.get_running_loop().time() + self._seconds
        held = {name: one for name, one in self._leases.items() if one.granted.is_set()}
        if not held:
            return
        query = (
            update(LeaseRow)
            .where(LeaseRow.owner == self._owner, LeaseRow.name.in_(held))
            .values(until=self._until)
            .returning(LeaseRow.name)
        )
        async with self._database.write() as session:
            renewed = set(await session.scalars(query))
        for name, one in held.items():
            one.extend(expires_at if name in renewed else 0)

    async def _free(self) -> list[str]:
        """Return the leases that this process waits for and that no process holds.

        An ``INSERT`` would lock the rows of the others, which renew theirs in an order of their
        own: a deadlock.
        """
        wanted = {name for name, one in self._leases.items() if not one.granted.is_set()}
        if not wanted:
            return []
        taken = select(LeaseRow.name).where(
            LeaseRow.name.in_(wanted), LeaseRow.until >= _now(self._database.dialect)
        )
        async with self._database.read() as session:
            return sorted(wanted - set(await session.scalars(taken)))

    async def _acquire(self, name: str) -> None:
        """Take a lease unless another process is faster."""
        expires_at = asyncio.get_running_loop().time() + self._seconds
        values = {"owner": self._owner, "until": self._until}
        query = self._database.insert(LeaseRow).values(name=name, **values)
        query = query.on_conflict_do_update(
            index_elements=["name"],
            set_=values,
            where=LeaseRow.until < _now(self._database.dialect),
        )
        async with self._database.write() as session:
            is_mine = (await session.execute(query.returning(LeaseRow.name))).first() is not None
        if not is_mine:
            return
        if (held := self._leases.get(name)) is None:  # its task was cancelled meanwhile
            await self._release(name)
            return
        held.extend(expires_at)
        held.granted.set()

    @property
    def _until(self) -> ColumnElement[float]:
        return _now(self._database.dialect) + self._seconds

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
