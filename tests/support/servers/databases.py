"""Temporary PostgreSQL and Redis servers on free ports."""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from sqlalchemy import make_url

from auth.store.database import database_url, open_database
from service.cameras.store.tables import CameraRow
from service.coordination.tables import LeaseRow
from service.teach.datasets.tables import PhotoRow

START_SECONDS = 60
LOWEST_PORT = 10000
ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root; Debian's package creates this account."""


def missing(program: str) -> None:
    """Skip the test, or fail if the program is required."""
    message = f"there is no {program} on this machine"
    if os.environ.get("REQUIRE_SYSTEM_TESTS"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """A free port outside the range of ephemeral ports.

    The kernel assigns ephemeral ports to connections and to servers on port 0, possibly before the
    intended server starts, or while it is down.
    """
    while True:
        port = random.randrange(LOWEST_PORT, _lowest_of_the_kernel())  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _lowest_of_the_kernel() -> int:
    file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(file.read_text().split()[0]) if file.exists() else 0
    return lowest if lowest > LOWEST_PORT + 1000 else 32768


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """Create an empty folder for PostgreSQL.

    Not in pytest's folder: every run of pytest closes that to other accounts, also for concurrent
    runs.
    """
    with tempfile.TemporaryDirectory(prefix="potoo-postgres-") as folder:
        yield Path(folder)


@contextmanager
def postgres_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run a PostgreSQL server on an empty folder or on existing data; yield its URL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        missing("PostgreSQL")
    programs, port = found[-1].parent, port or free_port()
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": ()}
        _open_up(folder)
    data = folder / "data"
    if not data.exists():
        command = [str(programs / "initdb"), "-D", str(data), "-U", ACCOUNT, "--auth=trust"]
        # Use a fixed locale, independent of this machine's language.
        command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, **account)
    options = ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}", "-p", str(port)]
    with (folder / "postgres.log").open("a") as log:
        process = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), *options, "-h", "127.0.0.1"],
            stdout=log,
            stderr=log,
            **account,
        )
    url = f"postgresql://{ACCOUNT}@127.0.0.1:{port}/postgres"
    try:
        _until(lambda: asyncio.run(_execute(url, "SELECT 1")), process, folder / "postgres.log")
        yield url
    finally:
        # Do not wait for connected clients. Use a signal: pg_ctl would need a fork of this process,
        # which gRPC's threads do not support well.
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty database on a PostgreSQL server; return its URL."""
    name = f"potoo_{uuid.uuid4().hex}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name}"))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def migrated(url: str) -> None:
    """Create the tables in an empty database."""
    asyncio.run(_migrate(url))


def emptied(url: str) -> None:
    """Delete all rows on PostgreSQL, which is faster than a new database."""
    tables = CameraRow.metadata.tables | LeaseRow.metadata.tables | PhotoRow.metadata.tables
    names = ", ".join(tables)
    try:
        asyncio.run(_execute(url, f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    except asyncpg.UndefinedTableError:  # a test removed the tables
        asyncio.run(_execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        migrated(url)


async def _migrate(url: str) -> None:
    async with open_database(database_url(url, Path("unused"))):
        pass


@contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run a Redis server without persistence; yield its URL."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server")
    port = port or free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "redis.log").open("a") as log:
        process = subprocess.Popen(
            [str(program), "--port", str(port), *options], stdout=log, stderr=log
        )

    def answers() -> None:
        with redis.Redis(port=port) as client:
            client.ping()

    try:
        _until(answers, process, folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait(START_SECONDS)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _until(attempt: object, process: subprocess.Popen[bytes], log: Path) -> None:
    """Retry until it works, as long as the process lives."""
    assert callable(attempt)
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError, asyncpg.PostgresError, redis.RedisError):
            attempt()
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _open_up(folder: Path) -> None:
    """Give the folder to PostgreSQL's account, and make it reachable."""
    account = pwd.getpwnam(ACCOUNT)
    os.chown(folder, account.pw_uid, account.pw_gid)
    for parent in folder.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
