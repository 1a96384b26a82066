"""Failures of the stores are counted, and logged with their reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from auth.store.database import Database
from observability.metrics.metrics import STORES, Metrics
from observability.metrics.store_watch import REPEAT_SECONDS, StoreWatch
from schemas.errors import NotReady, RateLimited
from tests.support.auth.identity_kit import Clock, opened

pytestmark = pytest.mark.anyio


def watch_on(metrics: Metrics, clock: Clock | None = None) -> StoreWatch:
    return StoreWatch(
        metrics, "accounts", fails="store fails", works="store works", clock=clock or Clock()
    )


def failures(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("potoo_store_failures_total", {"store": "accounts"})


async def overfill(database: Database) -> None:
    """Write into a database that cannot grow: as on a full disk."""
    async with database.write() as session:
        await session.execute(text("PRAGMA max_page_count = 1"))  # raised to the current number
        await session.execute(text("CREATE TABLE big (x)"))
        await session.execute(text("INSERT INTO big VALUES (zeroblob(10000000))"))


async def test_full_disk_is_counted_and_logged_with_its_reason(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:
        database.reading = database.writing = watch_on(metrics)
        with capture_logs() as log, pytest.raises(NotReady):
            await overfill(database)
        (line,) = log
        assert (line["event"], line["log_level"]) == ("store fails", "error")
        assert "full" in line["reason"]
        assert failures(metrics) == 1


async def test_store_on_a_full_disk_is_not_writable(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:
        database.reading, database.writing = watch_on(Metrics()), watch_on(Metrics())
        with capture_logs() as log:
            with pytest.raises(NotReady):
                await overfill(database)
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
            assert [line["event"] for line in log] == ["store fails"]
            async with database.write() as session:
                await session.execute(text("SELECT 1"))
            assert [line["event"] for line in log] == ["store fails", "store works"]


async def test_refusal_inside_a_transaction_is_no_failure_of_the_store(tmp_path: Path) -> None:
    metrics = Metrics()
    async with opened(f"sqlite:///{tmp_path / 'potoo.db'}") as database:
        database.writing = watch_on(metrics)
        with capture_logs() as log, pytest.raises(RateLimited):
            async with database.write():
                raise RateLimited
        assert not log
        assert failures(metrics) == 0


def test_failures_are_counted_and_logged_once_a_minute(clock: Clock) -> None:
    metrics = Metrics()
    watch = watch_on(metrics, clock)
    with capture_logs() as log:
        for _ in range(3):
            watch.failed("disk full")
        watch.failed("locked")
        clock.advance(REPEAT_SECONDS)
        watch.failed("locked")
    assert [line["reason"] for line in log] == ["disk full", "locked", "locked"]
    assert failures(metrics) == 5


def test_recovery_is_logged_once(clock: Clock) -> None:
    watch = watch_on(Metrics(), clock)
    with capture_logs() as log:
        watch.worked()
        watch.failed("disk full")
        watch.worked()
        watch.worked()
        watch.failed("disk full")
    assert [line["event"] for line in log] == ["store fails", "store works", "store fails"]


def test_every_store_has_a_series_before_its_first_failure() -> None:
    registry = Metrics().registry
    for store in STORES:
        assert registry.get_sample_value("potoo_store_failures_total", {"store": store}) == 0
