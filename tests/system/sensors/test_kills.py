"""Kill -9 of a real server and of devices: no window is lost, and none is counted twice.

Twenty kills of the server: ``test_mqtt_kills``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.sensors.device import Plan
from tests.support.sensors.kills import (
    DeviceProcess,
    PotooProcess,
    Stored,
    check_labels,
    check_windows,
    ending,
    kill_again_and_again,
    new_dice,
)
from tests.support.sensors.tiny_series import LABELS, LENGTH, write_series_model
from tests.support.servers.databases import free_port

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


@pytest.mark.parametrize(
    ("victim", "kills"),
    [("server", 2), ("device", 2), pytest.param("device", 20, marks=pytest.mark.slow)],
)
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
            kill_again_and_again(killed, kills, [stored], dice)
            total = device.finish()

    check_windows(stored.windows(), {"pump-3": total}, LENGTH)
    check_labels(stored.database, "pump-3", total)
