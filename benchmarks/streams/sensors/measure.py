"""A thousand sensors over framed TCP and over MQTT, beside a bare loop of the same work.

All measurements take turns in rounds. Answers a second are compared with the bare loop's, whose
machine is its own; the devices (and the broker) share it with the server, so that the server's CPU
for one answer is compared too. At half of the answers the age of answers is measured, from a
window's last sample to its published answer.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.streams.sensors import bare_loop, device, devices, ingest, windows
from benchmarks.support import subject
from benchmarks.support.measuring import Samples, median, ratio, rounded
from benchmarks.support.subject import Subject
from tests.support.results.mosquitto import Mosquitto
from tests.support.sensors import bearings

GOALS = {"windows_over_bare": 0.8, "p99_ms": 50.0, "ingest_mb_a_core_second": 500.0}
FAST = [f"fast-{number}" for number in range(4)]
"""Sensors that measure the cost of receiving."""
BROKER = "max_inflight_messages 1000\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
"""As ``docs/sensors-mqtt.md`` advises for many sensors."""


def measure_sensors(
    *, sensors: int = 1000, rounds: int = 3, seconds: float = 5
) -> dict[str, object]:
    """Measure, and return every sample and the medians of the ratios.

    Args:
        sensors: that send at once.
        rounds: of all measurements in turn.
        seconds: of one measurement.
    """
    bare: Samples = []
    doors: dict[str, Samples] = {"tcp": [], "mqtt": []}
    halves: dict[str, Samples] = {"tcp": [], "mqtt": []}
    received: Samples = []
    epoch = time.time_ns() // 1_000_000
    with _server(sensors) as (server, broker, ports, folder):
        batch = max(
            bare_loop.BATCHES, key=lambda size: bare_loop.run(folder, size, 2)["per_second"]
        )
        for number in range(rounds):
            print(f"sensors: round {number + 1} of {rounds}", file=sys.stderr)
            bare.append(bare_loop.run(folder, batch, seconds))
            for door, port in ports.items():
                given = {"devices": sensors, "token": server.token, "seconds": seconds}
                given["epoch"] = epoch
                doors[door].append(_under_load(server, broker, door, port, given))
                half = doors[door][-1]["per_second"] / 2
                halves[door].append(_under_load(server, broker, door, port, given | {"rate": half}))
            received.append(_ingest(server, ports["tcp"], seconds))
    measured: dict[str, object] = {
        "sensors": sensors,
        "is_real_vibration": bearings.is_present(),
        "goals": GOALS,
        "bare": {"batch": batch, "samples": bare},
        "ingest": received,
        "ingest_mb_a_core_second": rounded(median(received, "mb_a_core_second"), 1),
    }
    for door, samples in doors.items():
        measured[door] = {
            "full": samples,
            "half": halves[door],
            "windows_over_bare": rounded(ratio(samples, bare, "per_second")),
            "windows_over_bare_by_cpu": rounded(ratio(bare, samples, "cpu_ms")),
            "p99_ms_at_half": rounded(median(halves[door], "p99_ms"), 2),
            "p50_ms_at_half": rounded(median(halves[door], "p50_ms"), 2),
        }
    return measured


def lines(measured: dict[str, object]) -> Iterator[str]:
    """Yield what people want to know."""
    for door in ("tcp", "mqtt"):
        found = measured[door]
        assert isinstance(found, dict)
        yield (
            f"{door}: windows over the bare loop {found['windows_over_bare']} (bar 0.8), by CPU of "
            f"the server {found['windows_over_bare_by_cpu']}; at half load p50 "
            f"{found['p50_ms_at_half']} ms, p99 {found['p99_ms_at_half']} ms (bar 50)"
        )
    yield f"receiving: {measured['ingest_mb_a_core_second']} MB a second of a core (bar 500)"


def _under_load(
    server: Subject, broker: psutil.Process, door: str, port: int, given: dict[str, object]
) -> dict[str, float]:
    """Measure a door; ``cpu_ms``: of the server, for one answer."""

    def cpu() -> list[float]:
        times = broker.cpu_times()
        return [server.cpu_seconds(), times.user + times.system]

    seen, (used, of_broker) = devices.load(door, port, cpu, **given)
    server.settle()
    answers = max(1, seen["answers"])
    return seen | {
        "cpu_ms": 1000 * used / answers,
        "broker_cpu_ms": 1000 * of_broker / answers,
        "memory_mib": server.memory_mib(),
    }


def _ingest(server: Subject, port: int, seconds: float) -> dict[str, float]:
    with ingest.start(port, server.token, FAST, seconds) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = server.cpu_seconds()
        sent = json.loads(process.stdout.readline())["bytes"]
        used = server.cpu_seconds() - before
    server.settle()
    return {"bytes": sent, "cpu_seconds": used, "mb_a_core_second": sent / used / 1e6}


@contextmanager
def _server(sensors: int) -> Iterator[tuple[Subject, psutil.Process, dict[str, int], Path]]:
    """Start a broker, and a server that knows the sensors."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "broker").mkdir()
        broker = Mosquitto(folder / "broker")
        broker.configure()
        file = folder / "broker" / "mosquitto.conf"
        file.write_text(BROKER + file.read_text())
        broker.start()
        stack.callback(broker.stop)
        port = _free_port()
        model = windows.write_model(folder / "models")
        config = folder / "potoo.toml"
        config.write_text("\n".join(_config(sensors, port, broker.port)))
        started = subject.running(folder / "models", "--config", str(config))
        server = stack.enter_context(started)
        assert broker.process is not None
        of_broker = psutil.Process(broker.process.pid)
        yield server, of_broker, {"tcp": port, "mqtt": broker.port}, model


def _config(sensors: int, port: int, broker_port: int) -> Iterator[str]:
    yield '[mqtt]\nhost = "127.0.0.1"'
    yield f"port = {broker_port}\n[sensors]\ntcp_port = {port}\nmqtt = true\nmax_sensors = 5000"
    sensor = f'channels = 1\nrate = {bearings.RATE}\nmodel = "{windows.MODEL}"'
    for door in device.DOORS:
        for number in range(sensors):
            yield f"[sensors.definitions.{device.name_of(door, number)}]\n{sensor}"
    for fast in FAST:
        yield f"[sensors.definitions.{fast}]\n{sensor}\nstride = {ingest.STRIDE}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
