"""A locked, full or damaged SQLite store: 503, never a wrong 200, then recovery."""

from __future__ import annotations

import resource
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.servers.account_server import (
    is_refused_for_now,
    open_account_server,
    refused_start,
)

pytestmark = pytest.mark.slow


def test_locked_database_file_is_refused_after_waiting(tmp_path: Path, colours: Path) -> None:
    with open_account_server(tmp_path, colours) as shop:
        database = sqlite3.connect(shop.server.data_dir / "potoo.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        names = ("sign in", "refresh", "revoke refresh", "introspect", "add user")
        with ThreadPoolExecutor(len(names)) as threads:
            answers = list(threads.map(lambda name: shop.requests()[name](), names))
        assert all(map(is_refused_for_now, answers))
        # A reader blocks no other connection.
        assert shop.requests()["sessions"]().status_code == 200
        assert shop.classify() == 200
        assert shop.ready().status_code == 200
        database.execute("ROLLBACK")
        database.close()
        assert shop.app.refresh(shop.tokens["refresh_token"]).status_code == 200
        assert shop.app.sign_in().status_code == 200


def test_full_disk_refuses_writes_until_space_returns(tmp_path: Path, colours: Path) -> None:
    with open_account_server(tmp_path, colours) as shop:
        written = shop.server.data_dir / "potoo.db-wal"
        process = shop.server.process.pid
        before = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (written.stat().st_size, before[1]))
        for name in ("sign in", "refresh", "revoke refresh", "revoke access", "add user"):
            answer = shop.requests()[name]()
            assert is_refused_for_now(answer), f"{name}: {answer.status_code} {answer.text}"
        assert shop.requests()["sessions"]().status_code == 200
        assert shop.classify() == 200
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)
        assert shop.app.refresh(shop.tokens["refresh_token"]).status_code == 200
        assert shop.app.sign_in().status_code == 200
        assert shop.requests()["add user"]().status_code == 201


def test_invalid_database_file_is_reported_in_one_line(tmp_path: Path, colours: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "potoo.db").write_bytes(b"something else altogether " * 1000)
    (tmp_path / "data" / "potoo.db").chmod(0o600)
    line = refused_start(tmp_path, colours)
    assert line.endswith("file is not a database")
