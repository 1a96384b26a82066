"""Workers that die repeatedly: logged, counted, restarted with growing delays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.callers.raw_http import get
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

START_TIME = "process_start_time_seconds"


@pytest.fixture
def models(tmp_path: Path, colours: Path) -> Path:
    """A separate repository."""
    copy = tmp_path / "models"
    shutil.copytree(colours, copy)
    return copy


@pytest.fixture
def pair(tmp_path: Path, models: Path) -> Iterator[LiveServer]:
    """Two workers that do not poll for changed models."""
    with serve(
        tmp_path, models=models, arguments=("--workers", "2"), POTOO_MODELS_POLL_SECONDS="0"
    ) as live:
        assert wait_until(lambda: len(events(live, "ready")) == 2)
        yield live


def events(server: LiveServer, name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.events().splitlines()]
    return [event for event in found if event["event"] == name]


def value(server: LiveServer, name: str) -> float:
    text = get(server.address, "/metrics").body.decode()
    (found,) = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found)


def test_crash_loop_is_logged_counted_and_slowed(pair: LiveServer) -> None:
    victim, other = sorted(pair.workers())
    for number, delay in enumerate((0, 1, 2)):
        os.kill(victim, signal.SIGKILL)
        assert wait_until(lambda: len(events(pair, "a worker died")) == number + 1)  # noqa: B023 - used at once
        died = events(pair, "a worker died")[-1]
        assert (died["pid"], died["status"]) == (victim, -signal.SIGKILL)
        assert died["restart_in_seconds"] == delay
        # The remaining workers serve meanwhile.
        assert get(pair.address, "/readyz").status == 200
        assert wait_until(lambda: len(pair.workers()) == 2)
        assert wait_until(lambda: value(pair, "potoo_worker_restarts_total") == number + 1)  # noqa: B023 - the same
        (victim,) = pair.workers() - {other}


def test_failed_replacement_worker_is_started_again(pair: LiveServer, models: Path) -> None:
    """For example if the database is down: the other workers must keep running."""
    manifest = models / "colours" / "1" / "manifest.json"
    good = manifest.read_text()
    manifest.write_text("{}")
    victim, other = sorted(pair.workers())
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: len(events(pair, "a worker died")) == 2)
    assert events(pair, "a worker died")[-1]["status"] == 3
    assert "colours" in events(pair, "cannot start")[-1]["reason"]
    assert get(pair.address, "/readyz").status == 200
    manifest.write_text(good)
    assert wait_until(lambda: len(events(pair, "ready")) == 3)
    assert other in pair.workers()


def test_supervisor_ends_when_no_worker_can_start(pair: LiveServer, models: Path) -> None:
    (models / "colours" / "1" / "manifest.json").write_text("{}")
    for worker in pair.workers():
        os.kill(worker, signal.SIGKILL)
    assert pair.process.wait(120) == 1
    assert "Traceback" not in pair.events()


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_process_start_time_is_a_metric(
    tmp_path: Path, colours: Path, arguments: tuple[str, ...]
) -> None:
    with serve(tmp_path, models=colours, arguments=arguments) as server:
        began = psutil.Process(server.process.pid).create_time()
        (seen,) = {value(server, START_TIME) for _ in range(8)}
        assert seen == pytest.approx(began, abs=2)
