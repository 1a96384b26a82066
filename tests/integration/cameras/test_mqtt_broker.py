"""States and events of cameras on a real broker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from schemas.cameras import CameraStatus
from service.coordination.ports import OutputCursor
from tests.support.processes.open_files import many_files
from tests.support.repository import ROOT
from tests.support.results.fakes import camera, event
from tests.support.results.mosquitto import (
    PASSWORD,
    USERNAME,
    Listener,
    Mosquitto,
    listening,
    mosquitto,
)
from tests.support.results.mqtt_bench import MqttBench
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    with listening(broker.port) as subscriber:
        yield subscriber


@pytest.fixture
def bench(broker: Mosquitto) -> MqttBench:
    return MqttBench(broker.port)


def of(bench: MqttBench, listener: Listener) -> list[str]:
    """The topics of this bench that have a message: the broker is shared."""
    return [topic for topic in listener.last() if bench.topic in topic]


async def test_states_are_retained_and_events_are_not(
    bench: MqttBench, broker: Mosquitto, listener: Listener
) -> None:
    bench.cameras.all = [camera("door"), camera("bins", "full", CameraStatus.SILENT)]
    door = f"{bench.topic}/cameras/door"
    async with bench.running():
        await eventually(lambda: f"{bench.topic}/cameras/door/problem" in listener.last())
        bench.events.add(event(1))
        await eventually(lambda: bool(listener.payloads(f"{door}/event")))
        assert json.loads(listener.last()[f"{door}/event"])["id"] == 1
        with listening(broker.port) as late:
            await eventually(lambda: f"{door}/problem" in late.last())
            retained = late.last()
        assert f"{door}/event" not in retained
        state = json.loads(retained[f"{door}/state"])
        assert (state["state"], state["score"], state["model"]) == ("open", 0.9, "doors")
        assert retained[f"{door}/state/plain"] == "open"
        assert retained[f"{door}/availability"] == "online"
        assert retained[f"{bench.topic}/cameras/bins/availability"] == "offline"
        assert retained[f"{bench.topic}/status"] == "online"
        config = json.loads(retained[f"homeassistant/sensor/{bench.topic}_door/state/config"])
        assert config["state_topic"] == f"{door}/state"
    await eventually(lambda: listener.last()[f"{bench.topic}/status"] == "offline")


async def test_states_are_published_beside_a_thousand_other_files(
    bench: MqttBench, broker: Mosquitto
) -> None:
    bench.cameras.all = [camera("door")]
    status = f"{bench.topic}/status"
    with many_files(), listening(broker.port) as subscriber:
        async with bench.running():
            await eventually(lambda: subscriber.last().get(status) == "online")
            await eventually(lambda: f"{bench.topic}/cameras/door/state" in subscriber.last())
        await eventually(lambda: subscriber.last()[status] == "offline")


async def test_messages_of_a_removed_camera_are_removed(
    bench: MqttBench, listener: Listener
) -> None:
    bench.cameras.all = [camera("door"), camera("bins")]
    async with bench.running():
        await eventually(lambda: f"{bench.topic}/cameras/door/problem" in listener.last())
        bench.cameras.all = [camera("door")]
        bench.events.look()
        await eventually(lambda: not [one for one in of(bench, listener) if "bins" in one])
        assert len([one for one in of(bench, listener) if "door" in one]) == 6


async def test_camera_that_was_removed_while_potoo_was_away_is_removed(
    bench: MqttBench, listener: Listener
) -> None:
    bench.cameras.all = [camera("door"), camera("bins")]
    async with bench.running():
        await eventually(lambda: f"{bench.topic}/cameras/door/problem" in listener.last())
    bench.cameras.all = []
    async with bench.running():
        await eventually(lambda: listener.last()[f"{bench.topic}/status"] == "online")

        def is_clean() -> bool:
            bench.events.look()  # the broker's retained messages may come after the first look
            return of(bench, listener) == [f"{bench.topic}/status"]

        await eventually(is_clean)


async def test_tls_and_password_are_used(broker: Mosquitto, listener: Listener) -> None:
    bench = MqttBench(
        broker.tls_port,
        host="localhost",
        tls=True,
        ca_file=broker.ca_file,
        username=USERNAME,
        password=PASSWORD,
    )
    bench.cameras.all = [camera("door")]
    async with bench.running():
        await eventually(lambda: f"{bench.topic}/cameras/door/state" in listener.last())
    await eventually(lambda: listener.last()[f"{bench.topic}/status"] == "offline")


PUBLISHER = """
import asyncio, sys
from tests.support.results.fakes import camera
from tests.support.results.mqtt_bench import MqttBench

async def main():
    bench = MqttBench(int(sys.argv[1]), topic=sys.argv[2])
    bench.cameras.all = [camera("door")]
    async with bench.running():
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_last_will_says_offline_after_kill_9(broker: Mosquitto, listener: Listener) -> None:
    status = "killed/status"
    publisher = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUBLISHER, str(broker.port), "killed", cwd=ROOT
    )
    try:
        await eventually(lambda: "killed/cameras/door/state" in listener.last())
        assert listener.last()[status] == "online"
    finally:
        publisher.kill()
        await publisher.wait()
    await eventually(lambda: listener.last()[status] == "offline")


async def test_states_are_published_again_after_a_restart_of_the_broker(
    bench: MqttBench, broker: Mosquitto
) -> None:
    bench.cameras.all = [camera("door")]
    async with bench.running():
        await eventually(lambda: bench.is_up)
        broker.stop()
        await eventually(lambda: not bench.is_up)
        bench.events.add(event(1))
        bench.cameras.all = [camera("door", "closed")]
        bench.cameras.shown.clear()  # nothing is published before somebody listens
        broker.start()
        with listening(broker.port) as listener:  # the broker has forgotten everything
            bench.cameras.shown.set()
            await eventually(lambda: bool(listener.payloads(f"{bench.topic}/cameras/door/event")))
            assert listener.last()[f"{bench.topic}/cameras/door/state/plain"] == "closed"
            assert listener.last()[f"{bench.topic}/status"] == "online"


@pytest.mark.slow
async def test_only_the_newest_events_wait_while_the_broker_is_away(broker: Mosquitto) -> None:
    bench = MqttBench(broker.port, max_waiting=70)
    topic = f"{bench.topic}/cameras/door/event"
    async with bench.running():
        await eventually(lambda: bench.is_up)
        broker.stop()
        await eventually(lambda: not bench.is_up)
        bench.events.add(*(event(number) for number in range(1, 201)))
        await eventually(lambda: bench.number("potoo_result_queue_depth") == 70)
        bench.cameras.shown.clear()  # nothing is published before somebody listens
        broker.start()
        with listening(broker.port) as listener:
            bench.cameras.shown.set()
            await eventually(lambda: len(listener.payloads(topic)) == 70)
            await eventually(lambda: bench.number("potoo_result_queue_depth") == 0)
            received = [json.loads(payload)["id"] for payload in listener.payloads(topic)]
    assert received == list(range(131, 201))
    dropped = bench.number("potoo_result_deliveries_total", outcome="dropped")
    delivered = bench.number("potoo_result_deliveries_total", outcome="delivered")
    assert (dropped, delivered) == (130, 70)
    assert bench.cursors.saved["mqtt"] == OutputCursor(200, dead=130)


# paho leaves the socket of a failed handshake to the garbage collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_certificate_that_is_not_of_the_authority_is_refused(broker: Mosquitto) -> None:
    bench = MqttBench(
        broker.tls_port, host="localhost", tls=True, username=USERNAME, password=PASSWORD
    )
    with capture_logs() as lines:
        async with bench.running():
            await eventually(lambda: bool(lines))
    assert "certificate verify failed" in lines[0]["reason"]
    assert not bench.is_up


async def test_wrong_password_is_reported(broker: Mosquitto) -> None:
    wrong = "not the password"
    bench = MqttBench(
        broker.tls_port,
        host="localhost",
        tls=True,
        ca_file=broker.ca_file,
        username=USERNAME,
        password=wrong,
    )
    with capture_logs() as lines:
        async with bench.running():
            await eventually(lambda: bool(lines))
    assert lines[0]["reason"] == "the broker refused: Not authorized"
    assert wrong not in str(lines)
