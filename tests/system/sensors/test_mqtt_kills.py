"""Kill -9 of a real server and of its broker, with a device that repeats what is not confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.results.mosquitto import Listener, Mosquitto, listening, mosquitto
from tests.support.sensors.device import Plan
from tests.support.sensors.kills import (
    DeviceProcess,
    PotooProcess,
    Stored,
    Victim,
    check_labels,
    check_windows,
    ending,
    kill_again_and_again,
    new_dice,
)
from tests.support.sensors.tiny_series import LABELS, LENGTH, write_series_model
from tests.support.servers.databases import free_port
from tests.support.waiting import wait_until

QUERY = "select sensor, epoch, first_sequence from sensor_results where sensor = '{}'"
RATE = 1000
SENSOR = {"channels": len(LABELS), "rate": RATE, "model": "loudest"}


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    """A broker that forgets everything when it dies; the parameter: lines of its configuration.

    By default its queue holds all answers: a subscriber on a busy machine falls behind.
    """
    (tmp_path / "broker").mkdir()
    lines = getattr(request, "param", ("max_queued_messages 100000",))
    with mosquitto(tmp_path / "broker", extra=lines) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, broker: Mosquitto) -> Iterator[PotooProcess]:
    """A server with one sensor, started."""
    write_series_model(tmp_path / "models")
    settings = {
        "POTOO_SENSORS__DEFINITIONS": json.dumps(
            dict.fromkeys(("pump-3", "pump-4", "fan"), SENSOR)
        ),
        "POTOO_SENSORS__MQTT": "true",
        "POTOO_SENSORS__TCP_PORT": str(free_port()),
        "POTOO_MQTT__HOST": "127.0.0.1",
        "POTOO_MQTT__PORT": str(broker.port),
    }
    process = PotooProcess(tmp_path, tmp_path / "models", settings)
    process.start()
    with ending(process):
        yield process


@pytest.fixture
def device(tmp_path: Path, broker: Mosquitto) -> Iterator[DeviceProcess]:
    """A device that sends without end, started."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    plan = Plan(url, "pump-3", "", len(LABELS), LENGTH, rate=RATE)
    process = DeviceProcess.of(plan, tmp_path / "device")
    process.start()
    with ending(process):
        yield process


@pytest.fixture
def tcp_device(tmp_path: Path, server: PotooProcess) -> Iterator[DeviceProcess]:
    """A device at the server's own port, started."""
    assert server.live is not None
    url, token = f"tcp://127.0.0.1:{server.live.sensor_ports[0]}", server.live.token("ingest")
    plan = Plan(url, "pump-4", token, len(LABELS), LENGTH, rate=RATE)
    process = DeviceProcess.of(plan, tmp_path / "tcp_device")
    process.start()
    with ending(process):
        yield process


def windows_of(folder: Path, sensor: str) -> Stored:
    return Stored(folder / "data/potoo.db", QUERY.format(sensor))


def published(listener: Listener) -> list[tuple[int, int]]:
    """Epoch and first sequence of each answer that was published, in order."""
    answers = [json.loads(text) for text in listener.payloads("potoo/sensors/pump-3/result")]
    return [(one["epoch"], one["first_sequence"]) for one in answers]


def check_that_a_window_is_answered(listener: Listener) -> None:
    """Publish JSON for another sensor, as a device does that only publishes."""
    listener.publish("potoo/sensors/fan/data", json.dumps({"samples": [[0, 100, 0]] * LENGTH}))
    assert wait_until(lambda: listener.payloads("potoo/sensors/fan/result"))
    (answer,) = listener.payloads("potoo/sensors/fan/result")
    assert json.loads(answer)["label"] == LABELS[1]


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_of_the_server_lose_and_double_nothing_at_two_doors(
    tmp_path: Path,
    broker: Mosquitto,
    server: PotooProcess,
    device: DeviceProcess,
    tcp_device: DeviceProcess,
    kills: int,
) -> None:
    """A start takes seconds of CPU time: devices at the broker and at TCP share the kills."""
    stored, over_tcp = windows_of(tmp_path, "pump-3"), windows_of(tmp_path, "pump-4")
    with listening(broker.port, "potoo/sensors/+/result") as listener:
        assert wait_until(stored.count)  # before the first subscription, messages go nowhere
        check_that_a_window_is_answered(listener)
        kill_again_and_again(server, kills, [stored, over_tcp], new_dice())
        total, total_over_tcp = device.finish(), tcp_device.finish()
        windows = stored.windows()
        check_windows(windows, {"pump-3": total}, LENGTH)
        check_windows(over_tcp.windows(), {"pump-4": total_over_tcp}, LENGTH)
        check_labels(stored.database, "pump-3", total)
        check_labels(stored.database, "pump-4", total_over_tcp)
        expected = {(epoch, first) for _, epoch, first in windows}
        # Doubles are allowed, and known by their ids: the cursor is saved once a second.
        assert wait_until(lambda: set(published(listener)) >= expected, pause=0.2)
        assert set(published(listener)) == expected


@pytest.mark.parametrize("broker", [("max_queued_messages 5",)], indirect=True)
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_and_overflow_of_the_broker_lose_and_double_nothing(
    tmp_path: Path, broker: Mosquitto, server: PotooProcess, device: DeviceProcess, kills: int
) -> None:
    stored = windows_of(tmp_path, "pump-3")
    victim: Victim = broker
    dice = new_dice()
    kill_again_and_again(victim, kills, [stored], dice)
    kill_again_and_again(server, 1, [stored], dice)  # the broker's queue overflows meanwhile
    total = device.finish()
    check_windows(stored.windows(), {"pump-3": total}, LENGTH)
