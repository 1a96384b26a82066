"""kill -9 of the process that teaches, and of the server, at every step of a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.integration.teach.test_runs import add_photos, classify, finished
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import drawn
from tests.support.waiting import wait_until

SCOPES = "teach classify models:read models:write"
STEPS = ("extracting", "fitting", "judging", "grafting", "publishing")
MOST_TRIES = 20
OPTIONS = {"model": "shapes", "base": "everyday"}
pytestmark = pytest.mark.slow


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(BUNDLED_MODELS / "everyday", folder / "everyday")
    return folder


def teachers(server: LiveServer) -> Iterator[psutil.Process]:
    """The processes that teach."""
    for child in psutil.Process(server.process.pid).children(recursive=True):
        if "service.teach.runs.child" in child.cmdline():
            yield child


def kill_at(
    server: LiveServer, caller: httpx.Client, place: str, step: str, pid: int | None
) -> bool:
    """Kill a process once a run reaches a step; return False if it was over before that was seen.

    Events tell of the newest state alone, and a step may take a millisecond.
    """
    try:
        with caller.stream("GET", place, headers={"accept": "text/event-stream"}) as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                if json.loads(line[5:])["state"] == step:
                    if pid is None:
                        for child in teachers(server):
                            os.kill(child.pid, signal.SIGKILL)
                    else:
                        os.kill(pid, signal.SIGKILL)
                    return True
    except httpx.HTTPError:  # the server is gone
        return True
    return False


def begin_and_kill_at(
    server: LiveServer, caller: httpx.Client, step: str, *, server_too: bool
) -> tuple[str, int]:
    """Begin runs until one was killed at a step; return its place, and how many were over before."""
    for over in range(MOST_TRIES):
        place = caller.post("/v1/datasets/shapes/runs", json=OPTIONS).headers["location"]
        if kill_at(server, caller, place, step, server.process.pid if server_too else None):
            return place, over
    pytest.fail(f"no run was seen at the step {step}")


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() for one in processes)


def versions(models: Path) -> list[int]:
    return sorted(int(path.name) for path in (models / "shapes").iterdir() if path.is_dir())


def test_a_killed_process_is_replaced_and_the_run_goes_on(tmp_path: Path, models: Path) -> None:
    with serve(tmp_path, models=models) as server, server.client(SCOPES) as caller:
        add_photos(caller, "shapes", 5)
        published = 0
        for step in STEPS[:4]:
            place, over = begin_and_kill_at(server, caller, step, server_too=False)
            run = finished(caller, place)
            assert (step, run["state"]) == (step, "done"), run
            published += over + 1
            assert versions(models) == list(range(1, published + 1))
        assert classify(caller, "shapes", drawn("disc", 1))["predictions"]


def test_a_killed_server_goes_on_with_the_run_after_its_start(tmp_path: Path, models: Path) -> None:
    place, published = "", 0
    for step in (*STEPS, "none"):
        with serve(tmp_path, models=models) as server, server.client(SCOPES) as caller:
            if place:
                run = finished(caller, place)
                assert (step, run["state"]) == (step, "done"), run
                published += 1
                assert versions(models) == list(range(1, published + 1))
                assert not list((server.data_dir / "teach").glob("runs/*"))
                assert not list(models.glob(".draft-*"))
                assert classify(caller, "shapes", drawn("stripes", 1))["predictions"]
            else:
                add_photos(caller, "shapes", 5)
            assert classify(caller, "everyday", drawn("disc", 1))["predictions"]
            if step != "none":
                children = list(teachers(server))
                place, over = begin_and_kill_at(server, caller, step, server_too=True)
                published += over
                assert wait_until(partial(are_gone, children))
