"""Two servers that share PostgreSQL and a shared subscription, at a broker with TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.support.results.mosquitto import (
    PASSWORD,
    USERNAME,
    Listener,
    Mosquitto,
    listening,
    mosquitto,
)
from tests.support.sensors.kills import PotooProcess, ending
from tests.support.sensors.tiny_series import LABELS, LENGTH, write_series_model
from tests.support.servers.databases import fresh_database, postgres_folder, postgres_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
SENSOR = {"channels": len(LABELS), "rate": 1000, "model": "loudest"}
EPOCH = 1_800_000_000_000
TAKEN = 'potoo_sensor_mqtt_messages_total{outcome="received"}'


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with mosquitto(tmp_path / "broker", extra=("max_queued_messages 100000",)) as running:
        yield running


@pytest.fixture
def replicas(tmp_path: Path, broker: Mosquitto) -> Iterator[list[PotooProcess]]:
    """Two servers, started one after the other: the first makes the tables and the account."""
    write_series_model(tmp_path / "models")
    with ExitStack() as stack:
        server_url = stack.enter_context(postgres_server(stack.enter_context(postgres_folder())))
        settings = {
            "POTOO_DATABASE_URL": stack.enter_context(fresh_database(server_url)),
            "POTOO_SENSORS__DEFINITIONS": json.dumps({"pump": SENSOR}),
            "POTOO_SENSORS__MQTT": "true",
            "POTOO_SENSORS__MQTT_GROUP": "replicas",
            "POTOO_MQTT__HOST": "localhost",
            "POTOO_MQTT__PORT": str(broker.tls_port),
            "POTOO_MQTT__TLS": "true",
            "POTOO_MQTT__CA_FILE": str(broker.ca_file),
            "POTOO_MQTT__USERNAME": USERNAME,
            "POTOO_MQTT__PASSWORD": PASSWORD,
        }
        started = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            process = PotooProcess(tmp_path / name, tmp_path / "models", settings)
            process.start()
            stack.enter_context(ending(process))
            started.append(process)
        yield started


def taken(replica: PotooProcess) -> float:
    """Messages that a replica has received."""
    assert replica.live
    with replica.live.client("metrics") as client:
        lines = client.get("/metrics").raise_for_status().text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(TAKEN))


def publish(listener: Listener, first: int, windows: int) -> None:
    """Publish numbered windows, one a message."""
    for number in range(first, first + windows):
        samples = np.zeros((LENGTH, len(LABELS)))
        samples[:, number % len(LABELS)] = 100
        message = {"epoch": EPOCH, "sequence": number * LENGTH, "samples": samples.tolist()}
        listener.publish("potoo/sensors/pump/data", json.dumps(message))


def test_replicas_share_the_messages_and_lose_none_when_one_is_killed(
    broker: Mosquitto, replicas: list[PotooProcess]
) -> None:
    one, two = replicas
    assert wait_until(lambda: two.live and "mqtt subscribed" in two.live.events())
    with listening(broker.port, "potoo/sensors/pump/result") as listener:

        def answered() -> dict[int, str]:
            answers = map(json.loads, listener.payloads("potoo/sensors/pump/result"))
            return {found["first_sequence"] // LENGTH: found["label"] for found in answers}

        def publish_until_both_take() -> int:
            sent = 0
            while sent < 1000 and not (taken(one) and taken(two)):
                publish(listener, sent, 10)
                sent += 10
            return sent

        sent = publish_until_both_take()
        assert taken(one) > 0
        assert taken(two) > 0
        assert taken(one) + taken(two) <= sent + 20, "each message goes to one replica"
        publish(listener, sent, 50)
        one.kill()
        publish(listener, sent + 50, 50)
        one.start()  # the next process gets what the killed one has not acknowledged
        expected = {number: LABELS[number % len(LABELS)] for number in range(sent + 100)}
        assert wait_until(lambda: answered().keys() >= expected.keys()), sorted(
            expected.keys() - answered().keys()
        )
        assert answered() == expected
        assert two.live
        with two.live.client("sensors") as client:
            answer = client.get("/v1/sensors/pump/results?limit=1000&after=0").json()
        numbers = [found["first_sequence"] // LENGTH for found in answer["results"]]
        assert sorted(numbers) == sorted(expected), "each window is stored once"
