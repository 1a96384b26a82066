"""kill -9 of the process that teaches, and of the server, at every step of a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.integration.teach.test_runs import add_photos, classify
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import drawn
from tests.support.waiting import wait_until

SCOPES = "teach classify models:read models:write"
STEPS = ("extracting", "fitting", "judging", "grafting", "publishing")
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
) -> str:
    """Kill a process once a run reaches a step; return the last state that was seen."""
    seen = ""
    try:
        with caller.stream("GET", place, headers={"accept": "text/event-stream"}) as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                seen = json.loads(line[5:])["state"]
                if seen == step:
                    if pid is None:
                        for child in teachers(server):
                            os.kill(child.pid, signal.SIGKILL)
                    else:
                        os.kill(pid, signal.SIGKILL)
                    break
    except httpx.HTTPError:  # the server is gone
        pass
    return seen


def finished(caller: httpx.Client, place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_finished() -> bool:
        found.update(caller.get(place).raise_for_status().json())
        return found["state"] in {"done", "failed", "cancelled"}

    assert wait_until(is_finished, pause=0.1)
    return found


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() for one in processes)


def versions(models: Path) -> list[int]:
    return sorted(int(path.name) for path in (models / "shapes").iterdir() if path.is_dir())


def test_a_killed_process_is_replaced_and_the_run_goes_on(tmp_path: Path, models: Path) -> None:
    with serve(tmp_path, models=models) as server, server.client(SCOPES) as caller:
        dataset = add_photos(caller, "shapes", 5)
        for number, step in enumerate(STEPS[:4], 1):
            place = caller.post(f"{dataset}/runs", json=OPTIONS).headers["location"]
            kill_at(server, caller, place, step, None)
            run = finished(caller, place)
            assert (step, run["state"]) == (step, "done"), run
            assert versions(models) == list(range(1, number + 1))
        assert classify(caller, "shapes", drawn("disc", 1))["predictions"]


def test_a_killed_server_goes_on_with_the_run_after_its_start(tmp_path: Path, models: Path) -> None:
    place = ""
    for number, step in enumerate((*STEPS, "none"), 0):
        with serve(tmp_path, models=models) as server, server.client(SCOPES) as caller:
            if place:
                run = finished(caller, place)
                assert (step, run["state"]) == (step, "done"), run
                assert versions(models) == list(range(1, number + 1))
                assert not list((server.data_dir / "teach").glob("runs/*"))
                assert not list(models.glob(".draft-*"))
                assert classify(caller, "shapes", drawn("stripes", 1))["predictions"]
            else:
                add_photos(caller, "shapes", 5)
            assert classify(caller, "everyday", drawn("disc", 1))["predictions"]
            if step != "none":
                begun = caller.post("/v1/datasets/shapes/runs", json=OPTIONS)
                place = begun.headers["location"]
                children = list(teachers(server))
                kill_at(server, caller, place, step, server.process.pid)
                assert wait_until(partial(are_gone, children))
