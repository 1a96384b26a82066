"""The worker pool: order, exceptions, number of cores."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from service.core.engine.pool import WorkerPool, usable_cores


def test_single_thread_runs_jobs_in_arrival_order() -> None:
    pool, done = WorkerPool("order", 1), list[int]()
    for number in range(100):
        pool.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    pool.close()
    assert done == list(range(100))


def test_as_many_jobs_as_threads_run_concurrently() -> None:
    pool, together = WorkerPool("together", 3), threading.Barrier(3, timeout=10)
    arrived = list[int]()
    for _ in range(3):
        pool.submit(lambda: arrived.append(together.wait()))
    pool.close()
    assert sorted(arrived) == [0, 1, 2]


def test_threads_are_named_after_the_pool() -> None:
    pool, names = WorkerPool("potoo-test", 1), list[str]()
    pool.submit(lambda: names.append(threading.current_thread().name))
    pool.close()
    assert names == ["potoo-test-0"]


def test_raising_job_is_logged_and_keeps_its_thread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pool, done = WorkerPool("faults", 1), list[str]()

    def raises() -> None:
        raise ZeroDivisionError

    pool.submit(raises)
    pool.submit(lambda: done.append("still here"))
    pool.close()
    assert done == ["still here"]
    assert "job raised: this is a bug" in "".join(capsys.readouterr())


def test_close_finishes_queued_jobs_and_ends_threads() -> None:
    before = threading.active_count()
    pool, done = WorkerPool("closing", 2), list[int]()
    gate = threading.Event()
    pool.submit(lambda: done.append(int(gate.wait(10))))
    pool.submit(lambda: done.append(2))
    gate.set()
    pool.close()
    assert sorted(done) == [1, 2]
    assert threading.active_count() == before


@pytest.mark.parametrize("lane", ["submit", "submit_slowly"])
def test_job_is_alone_only_if_both_lanes_are_empty(lane: str) -> None:
    pool, gate, started = WorkerPool("alone", 1), threading.Event(), threading.Event()
    submit = getattr(pool, lane)

    def job() -> None:
        started.set()
        gate.wait(10)

    def alone() -> bool:
        return pool.has_one_job

    try:
        assert alone()
        submit(job)
        assert started.wait(10)
        assert alone()
        submit(lambda: None)
        assert not alone()
    finally:
        gate.set()
        pool.close()
    assert alone()


@pytest.mark.anyio
async def test_run_returns_the_jobs_result() -> None:
    pool = WorkerPool("run", 1)
    try:
        assert await pool.run(lambda: 6 * 7) == 42
    finally:
        pool.close()


@pytest.mark.anyio
async def test_run_raises_the_jobs_exception_and_keeps_the_thread() -> None:
    pool = WorkerPool("run", 1)
    try:
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
        assert await pool.run(lambda: "fine") == "fine"
    finally:
        pool.close()


@pytest.mark.anyio
async def test_cancelled_caller_does_not_affect_other_jobs() -> None:
    pool, gate = WorkerPool("run", 1), threading.Event()
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    try:
        leaver = asyncio.create_task(pool.run(lambda: gate.wait(10)))
        other = asyncio.create_task(pool.run(lambda: "fine"))
        await asyncio.sleep(0)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        gate.set()
        assert await asyncio.wait_for(other, 10) == "fine"
    finally:
        gate.set()
        pool.close()
    assert faults == []


AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000", AFFINITY),
        ("100000 100000", 1),
        ("150000 100000", min(2, AFFINITY)),
        ("10000 100000", 1),
        ("99900000 100000", AFFINITY),
        ("", AFFINITY),
        ("garbage", AFFINITY),
        ("1 2 3", AFFINITY),
        ("-1 100000", 1),
    ],
)
def test_container_quota_limits_the_usable_cores(tmp_path: Path, content: str, cores: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(content)
    assert usable_cores(file) == cores


def test_missing_control_group_means_no_quota(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "nothing here") == AFFINITY
