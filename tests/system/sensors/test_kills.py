"""Kill -9 of a real server and of devices: no window is lost, and none is counted twice."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.results.mosquitto import Listener, Mosquitto, listening, mosquitto
from tests.support.sensors.device import Plan, loudest
from tests.support.sensors.kills import (
    DeviceProcess,
    PotooProcess,
    Stored,
    check_windows,
    ending,
    kill_again_and_again,
    new_dice,
)
from tests.support.sensors.tiny_series import LABELS, LENGTH, write_series_model
from tests.support.servers.databases import free_port
from tests.support.waiting import wait_until

QUERY = "select sensor, epoch, first_sequence from sensor_results"
SENSOR = {"channels": len(LABELS), "rate": 2000, "model": "loudest"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_series_model(tmp_path / "models")
    return tmp_path / "models"


def potoo(folder: Path, models: Path, **settings: str) -> PotooProcess:
    """A server with one sensor; do not start it."""
    definitions = json.dumps({"pump-3": SENSOR})
    return PotooProcess(folder, models, {"POTOO_SENSORS__DEFINITIONS": definitions, **settings})


def labels(database: Path) -> dict[int, str]:
    """The label of each stored window by its first sequence."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
        rows = store.execute("select first_sequence, answer from sensor_results").fetchall()
    return {first: json.loads(answer)["label"] for first, answer in rows}


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("victim", ["server", "device"])
def test_kills_lose_and_double_nothing_over_tcp(
    tmp_path: Path, models: Path, victim: str, kills: int
) -> None:
    port, dice = free_port(), new_dice()
    server = potoo(tmp_path, models, POTOO_SENSORS__TCP_PORT=str(port))
    stored = Stored(tmp_path / "data/potoo.db", QUERY)
    server.start()
    with ending(server):
        assert server.live is not None
        token = server.live.token("ingest")
        plan = Plan(f"tcp://127.0.0.1:{port}", "pump-3", token, len(LABELS), LENGTH, rate=2000)
        device = DeviceProcess.of(plan, tmp_path / "device")
        with ending(device):
            device.start()
            killed = server if victim == "server" else device
            kill_again_and_again(killed, kills, stored.count, dice)
            total = device.finish()

    check_windows(stored.windows(), {"pump-3": total}, LENGTH)
    found = labels(stored.database)
    assert found == {
        first: LABELS[loudest(first // LENGTH, len(LABELS))] for first in range(0, total, LENGTH)
    }


@dataclass
class KilledBroker:
    """A broker that is killed; it keeps nothing on its disk."""

    broker: Mosquitto

    def start(self) -> None:
        self.broker.start()

    def kill(self) -> None:
        assert self.broker.process is not None
        self.broker.process.kill()
        self.broker.process.wait()


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_of_the_broker_lose_and_double_nothing(
    tmp_path: Path, models: Path, kills: int
) -> None:
    dice = new_dice()
    stored = Stored(tmp_path / "data/potoo.db", QUERY)
    with mosquitto(tmp_path) as broker:
        server = potoo(
            tmp_path,
            models,
            POTOO_SENSORS__MQTT="true",
            POTOO_MQTT__HOST="127.0.0.1",
            POTOO_MQTT__PORT=str(broker.port),
        )
        url = f"mqtt://127.0.0.1:{broker.port}"
        plan = Plan(url, "pump-3", "", len(LABELS), LENGTH, rate=2000)
        device = DeviceProcess.of(plan, tmp_path / "device")
        with listening(broker.port) as results, ending(server, device):
            server.start()
            device.start()
            kill_again_and_again(KilledBroker(broker), kills, stored.count, dice)
            total = device.finish()
            check_windows(stored.windows(), {"pump-3": total}, LENGTH)
            windows = set(range(0, total, LENGTH))
            # A result may be published twice: its acknowledgement was lost with the broker.
            assert wait_until(lambda: published(results) == windows), windows - published(results)


def published(results: Listener) -> set[int]:
    """First sequences of the windows whose results were published."""
    payloads = results.payloads("potoo/sensors/pump-3/result")
    return {json.loads(payload)["first_sequence"] for payload in payloads}
