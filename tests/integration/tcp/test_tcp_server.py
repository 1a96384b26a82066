"""A real server over TCP, with the client in C of ``docs/examples`` and with raw floats."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.repository import ROOT
from tests.support.sensors.tcp.bench import TcpBenches
from tests.support.sensors.tcp.intake import FakeIntake, values_of
from tests.support.sensors.tiny_series import LABELS, LENGTH, normalised, write_series_model
from tests.support.servers.databases import missing
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

FLAGS = ("-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client."""
    compiler = shutil.which("cc")
    if compiler is None:
        missing("cc")
    made = tmp_path_factory.mktemp("c") / "sensor"
    source = ROOT / "docs/examples/sensor.c"
    subprocess.run([str(compiler), *FLAGS, "-o", made, source], check=True)
    return made


async def run(program: Path, port: int, *given: str, samples: bytes) -> tuple[int, str, str]:
    """Run it; return the exit status, its output and its errors."""
    process = await asyncio.create_subprocess_exec(
        str(program),
        "127.0.0.1",
        str(port),
        *given,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    # A process that was refused may be gone before there is anything to write.
    output, errors = await process.communicate(samples or None)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.process
@pytest.mark.anyio
async def test_c_client_sends_everything_within_its_credit(
    program: Path, benches: TcpBenches
) -> None:
    values = values_of(30_000, 3)  # more than the credit
    async with benches.serve(FakeIntake(wide=3)) as bench:
        status, output, errors = await run(
            program, bench.ports[0], "wide", "3", bench.token(), samples=values.tobytes()
        )
        assert (status, errors) == (0, "sensor: 30000 of 30000 samples are safe\n")
        (channel,) = bench.intake.opened
        assert np.array_equal(channel.samples, values)
        assert json.loads(output.splitlines()[0])["label"] == "calm"


@pytest.mark.process
@pytest.mark.anyio
async def test_c_client_shows_why_it_is_refused(program: Path, benches: TcpBenches) -> None:
    async with benches.serve() as bench:
        status, _, errors = await run(
            program, bench.ports[0], "no", "1", bench.token(), samples=b""
        )
        assert status == 1
        assert '"code":"not_found"' in errors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A real server with a model of series and a sensor."""
    folder = tmp_path_factory.mktemp("server")
    write_series_model(folder / "models")
    definition = {"channels": 3, "rate": 1000, "model": "loudest"}
    with serve(
        folder,
        models=folder / "models",
        POTOO_SENSORS__TCP_PORT="0",
        POTOO_SENSORS__RAW=json.dumps([{"port": 0, "sensor": "plain", "allow": ["127.0.0.0/8"]}]),
        POTOO_SENSORS__DEFINITIONS=json.dumps({"pump": definition, "plain": definition}),
    ) as live:
        yield live


def test_every_window_is_answered_by_a_real_server(program: Path, server: LiveServer) -> None:
    samples = np.random.default_rng(1).normal(5, 3, (40 * LENGTH, 3)).astype(np.float32)
    framed, _ = server.sensor_ports
    status, output, errors = asyncio.run(
        run(program, framed, "pump", "3", server.token("ingest"), samples=samples.tobytes())
    )
    assert status == 0, errors + server.events()
    answers = [json.loads(line) for line in output.splitlines()]
    windows = samples.reshape(40, LENGTH, 3)
    assert [one["first_sequence"] for one in answers] == list(range(0, 40 * LENGTH, LENGTH))
    expected = [LABELS[normalised(window).mean(axis=1).argmax()] for window in windows]
    top = [one["predictions"][0]["label"] for one in answers]
    assert top == expected
    with server.client("sensors") as client:
        assert client.get("/v1/sensors/pump").json()["counts"]["windows"] == 40


def test_raw_floats_are_answered_by_a_real_server(server: LiveServer) -> None:
    samples = np.random.default_rng(2).normal(5, 3, (3 * LENGTH, 3)).astype(np.float32)
    _, plain = server.sensor_ports
    with server.client("sensors") as client:

        def results() -> list[object]:
            found: list[object] = client.get("/v1/sensors/plain/results").json()["results"]
            return found

        with socket.create_connection(("127.0.0.1", plain)) as device:
            device.sendall(samples.tobytes())
            assert wait_until(lambda: len(results()) == 3)
        assert client.get("/v1/sensors/plain").json()["door"] == "raw_tcp"
