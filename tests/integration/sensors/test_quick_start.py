"""The commands of ``docs/sensors.md`` and ``docs/sensors-mqtt.md``, to a first result."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.results.mosquitto import mosquitto
from tests.support.servers.server import PATIENCE, serve
from tests.support.waiting import wait_until

QUICK_START = re.search(
    r"## Quick start\n\n```sh\n(.*?)```", (ROOT / "docs/sensors.md").read_text(), re.DOTALL
)
OVER_MQTT = re.search(
    r"```sh\n(python -c .*?)```", (ROOT / "docs/sensors-mqtt.md").read_text(), re.DOTALL
)
SENSOR = {"engine-1": {"channels": 24, "rate": 1, "model": "turbofan"}}
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


@pytest.mark.slow
def test_window_of_the_mqtt_example_is_answered(tmp_path: Path) -> None:
    assert OVER_MQTT
    for name in ("broker", "server", "potoo-data"):
        (tmp_path / name).mkdir()
    (tmp_path / "potoo-data/models").symlink_to(ROOT / "models")
    with mosquitto(tmp_path / "broker") as broker:
        commands = OVER_MQTT[1].replace("-h 192.168.1.2", f"-h 127.0.0.1 -p {broker.port}")
        assert str(broker.port) in commands
        # On a busy machine the answer may come before the subscription: publish again.
        again = commands.replace("mosquitto_pub", "while kill -0 $!; do mosquitto_pub")
        settings = {
            "POTOO_SENSORS__DEFINITIONS": json.dumps(SENSOR),
            "POTOO_SENSORS__MQTT": "true",
            "POTOO_MQTT__HOST": "127.0.0.1",
            "POTOO_MQTT__PORT": str(broker.port),
        }
        with serve(tmp_path / "server", models=ROOT / "models", arguments=(), **settings) as server:
            assert wait_until(lambda: "mqtt subscribed" in server.events())
            done = subprocess.run(
                ["bash", "-ec", f'python() {{ "{sys.executable}" "$@"; }}\n{again}sleep 0.2; done'],
                check=True,
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
    assert json.loads(done.stdout)["label"] == "healthy"
