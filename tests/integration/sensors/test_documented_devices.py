"""The programs of ``docs/sensors-devices.md``, run against a small server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from schemas.sensor_wire.messages import Error
from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.sensors.documented import python_programs, run_program
from tests.support.sensors.served import served
from tests.support.sensors.tcp.small_server import SmallServer
from tests.support.servers.databases import missing
from tests.support.waiting import PATIENCE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    with served(SmallServer(tmp_path / "server.db")) as found:
        yield found
    assert found.faults == []


@pytest.mark.parametrize("program", [one for one in python_programs() if "tcp://" in one])
def test_documented_programs_send_everything(
    server: SmallServer, tmp_path: Path, program: str
) -> None:
    (tmp_path / "token.txt").write_text("a token")
    run_program(program.replace("127.0.0.1:7700", f"127.0.0.1:{server.port}"), tmp_path)

    assert server.results() == {first: float(first) for first in range(0, 1000, 100)}
    assert [hello.token for hello in server.hellos] == ["a token"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C program that resumes, compiled."""
    made = tmp_path_factory.mktemp("c") / "sensor_file"
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror"]
    source = ROOT / "docs/examples/sensor_file.c"
    try:
        subprocess.run(["cc", *flags, "-o", made, source], check=True, timeout=PATIENCE)
    except FileNotFoundError:
        missing("cc")
    return made


def send(program: Path, server: SmallServer, file: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["127.0.0.1", str(server.port), "pump-3", "1", "7", str(file)]
    return subprocess.run(
        [str(program), *arguments],
        check=False,
        env=clean_environment(POTOO_TOKEN="a token"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_the_documented_c_program_sends_and_resumes(
    program: Path, server: SmallServer, tmp_path: Path
) -> None:
    values = np.arange(100_000, dtype="<f4")
    values[:50_050].tofile(tmp_path / "queue.f32")
    first = send(program, server, tmp_path / "queue.f32")
    values.tofile(tmp_path / "queue.f32")
    second = send(program, server, tmp_path / "queue.f32")

    assert (first.returncode, second.returncode) == (0, 0)
    assert server.results() == {place: float(place) for place in range(0, 100_000, 100)}
    assert (server.gaps, server.repeated) == (0, 0)
    assert [(one.epoch, one.token) for one in server.hellos] == [(7, "a token")] * 2
    assert "100000 samples sent, safe below 100000" in second.stderr
    assert len(second.stdout.splitlines()) == 500


def test_the_documented_c_program_reports_a_refusal(
    program: Path, server: SmallServer, tmp_path: Path
) -> None:
    server.refuses = lambda _: Error("not_found", "No such sensor.", fatal=True)
    (tmp_path / "queue.f32").touch()

    refused = send(program, server, tmp_path / "queue.f32")

    assert refused.returncode == 1
    assert "No such sensor." in refused.stderr
