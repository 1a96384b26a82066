"""A server with worker processes delivers states and events of its cameras, once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cameras.snapshots import snapshot_camera
from tests.support.models.pictures import plain
from tests.support.results.mosquitto import Listener, Mosquitto, listening, mosquitto
from tests.support.results.receiver import receiving
from tests.support.servers.server import serve
from tests.support.waiting import wait_until

RED, BLUE = plain((255, 0, 0), format="JPEG"), plain((0, 0, 255), format="JPEG")

STATE, EVENT = "potoo/cameras/door/state/plain", "potoo/cameras/door/event"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    with listening(broker.port) as subscriber:
        yield subscriber


@pytest.mark.slow
def test_states_and_events_of_a_camera_are_delivered_once(
    tmp_path: Path, colours: Path, broker: Mosquitto, listener: Listener
) -> None:
    with receiving() as receiver, snapshot_camera() as camera:
        camera.show(RED)
        with (
            serve(
                tmp_path,
                models=colours,
                POTOO_WORKERS="2",
                POTOO_MQTT__HOST="127.0.0.1",
                POTOO_MQTT__PORT=str(broker.port),
                POTOO_WEBHOOKS__URLS=json.dumps([f"{receiver.url}/hook"]),
                POTOO_WEBHOOKS__SECRET="a secret of sixteen characters or more",
            ) as server,
            server.client("cameras") as client,
        ):
            assert wait_until(lambda: listener.last().get("potoo/status") == "online")
            body = {"name": "door", "url": camera.url, "every_seconds": 0.1}
            client.post("/v1/cameras", json=body).raise_for_status()
            assert wait_until(lambda: listener.last().get(STATE) == "red")
            camera.show(BLUE)
            assert wait_until(lambda: listener.last().get(STATE) == "blue")
            assert wait_until(lambda: len(listener.payloads(EVENT)) == 2)
            assert wait_until(lambda: len(receiver.acknowledged) == 2)
            client.delete("/v1/cameras/door").raise_for_status()
            assert wait_until(lambda: set(listener.last()) == {"potoo/status", EVENT})
            server.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: listener.last()["potoo/status"] == "offline")
        states = [json.loads(request.body)["data"]["state"] for request in receiver.requests]
    assert states == ["red", "blue"]
