"""The three commands of ``docs/sensors.md``, from nothing to a first result."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.servers.server import PATIENCE, serve

QUICK_START = re.search(
    r"## Quick start\n\n```sh\n(.*?)```", (ROOT / "docs/sensors.md").read_text(), re.DOTALL
)
SERVE = " && POTOO_SENSORS__TCP_PORT=7700 potoo serve &"


@pytest.mark.slow
def test_quick_start_ends_with_an_answer(tmp_path: Path) -> None:
    assert QUICK_START
    build, *others = QUICK_START[1].splitlines()
    assert build.endswith(SERVE)
    # The server of the tests has its data elsewhere, and its models are given.
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "potoo-data").symlink_to("data")

    def run(line: str) -> str:
        commands = f'potoo() {{ "{sys.executable}" -m service "$@"; }}\n{line}'
        done = subprocess.run(
            ["bash", "-ec", commands],
            check=True,
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.stdout

    run(build.removesuffix(SERVE))
    with serve(tmp_path, models=tmp_path / "data/models", POTOO_SENSORS__TCP_PORT="0") as server:
        (port,) = server.sensor_ports
        answered = ""
        for line in others:
            given = f" --server tcp://127.0.0.1:{port}" if "simulate" in line else ""
            answered = run(line + given)
        assert "1 windows answered" in answered
        assert "\thealthy since " in run("potoo sensors list")
