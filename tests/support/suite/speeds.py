"""Which tests ``make unit``, ``make test`` and ``make test-all`` run, and which run alone.

``pyproject.toml`` defines the markers. This module sets those that follow from a test's folder and
fixtures, prevents tests without the marker ``process`` from starting one, and lets a test with the
marker ``alone`` wait until no other worker runs a test.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROCESSES = {"postgres", "redis_url", "server", "issuer_of_all", "browser", "small_disk"}
"""Fixtures that start a process."""
ROOMS = ("system", "integration", "contract", "unit")
"""Folders in the order of execution: long files first, so that no worker ends with one."""
ROOMS_OF_PROCESSES = {"system", "integration"}
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
"""Audit events of starting a process."""
DATABASES = ("database_url", "tables_url")
"""Fixtures that run a test once on each kind of database."""


def room_of(item: pytest.Item) -> str:
    """Return the folder below ``tests/`` that contains a test."""
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]


@pytest.hookimpl(tryfirst=True)  # before -m selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if room_of(item) in ROOMS_OF_PROCESSES or PROCESSES & set(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker("process")
        if on_postgresql(item) and not item.get_closest_marker("sql"):
            item.add_marker("slow")
    items.sort(
        key=lambda item: (bool(item.get_closest_marker("alone")), ROOMS.index(room_of(item)))
    )


def on_postgresql(item: pytest.Item) -> bool:
    """Return whether this is the PostgreSQL run of a test that also runs on SQLite."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    return any(params.get(name) == "postgresql" for name in DATABASES)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _Guard.refuses = not item.get_closest_marker("process")
    try:
        if not hasattr(item.config, "workerinput"):  # no other worker
            return (yield)
        with _turn(item, alone=bool(item.get_closest_marker("alone"))):
            return (yield)
    finally:
        _Guard.refuses = False


class _Guard:
    """Refuse to start processes during tests without the marker ``process``."""

    refuses = False

    @classmethod
    def on_event(cls, event: str, _: object) -> None:
        """Handle an audit event (PEP 578)."""
        if cls.refuses and event in STARTS:
            message = "a test that starts a process is to be marked with pytest.mark.process"
            raise RuntimeError(message)


sys.addaudithook(_Guard.on_event)


@contextmanager
def _turn(item: pytest.Item, *, alone: bool) -> Iterator[None]:
    """Wait until this test may run beside those of the other workers.

    A shared lock, behind a second lock that each test takes briefly: a test that runs alone holds
    the second one, so that tests that share the first cannot starve it.
    """
    assert item.config.cache is not None
    folder = item.config.cache.mkdir("alone")
    how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with _locked(folder / "gate", fcntl.LOCK_EX) as gate, _locked(folder / "room", how):
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@contextmanager
def _locked(file: Path, how: int) -> Iterator[int]:
    with file.open("w") as opened:
        fcntl.flock(opened, how)
        yield opened.fileno()
