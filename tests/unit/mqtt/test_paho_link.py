"""A connection by paho, with brokers that are old, refuse, hang or send nonsense."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from service.cameras.results.topics import Topics
from service.mqtt import paho_link
from service.mqtt.address import BrokerAddress
from service.mqtt.link import BrokerAway, Message
from service.mqtt.paho_link import PahoBroker
from tests.support.results.scripted_broker import TAKEN_OVER, ScriptedBroker, scripted_broker
from tests.support.servers.databases import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

MESSAGE = Message("potoo/status", b"online")
UNSUPPORTED = b"\x20\x02\x00\x01"
NOT_AUTHORISED = b"\x20\x03\x00\x87\x00"


@pytest.fixture
async def broker() -> AsyncIterator[ScriptedBroker]:
    async with scripted_broker() as running:
        yield running


def client_of(port: int) -> PahoBroker:
    return PahoBroker(BrokerAddress("127.0.0.1", port), Topics("potoo"))


async def refused(client: PahoBroker) -> str:
    with pytest.raises(BrokerAway) as error:
        async with client.open_link():
            pytest.fail("connected")
    return str(error.value)


async def test_message_is_published_and_acknowledged(broker: ScriptedBroker) -> None:
    async with client_of(broker.port).open_link() as link:
        await link.publish(MESSAGE)
        assert broker.published == ["potoo/status"]
        assert broker.levels == [5]
    await eventually(lambda: "potoo-mqtt" not in {one.name for one in threading.enumerate()})


async def test_an_old_broker_is_spoken_to_in_3_1_1(broker: ScriptedBroker) -> None:
    broker.connack[5] = UNSUPPORTED
    client = client_of(broker.port)
    assert await refused(client) == "the broker refused: Unsupported protocol version"
    async with client.open_link() as link:
        await link.publish(MESSAGE)
    assert broker.levels == [5, 4]


async def test_a_broker_that_closes_without_an_answer_is_tried_in_both_versions(
    broker: ScriptedBroker,
) -> None:
    # A packet that no version has is what paho takes as an end.
    broker.connack = {5: b"\x00\x00", 4: b"\x00\x00"}
    client = client_of(broker.port)
    for _ in range(3):
        await refused(client)
    assert broker.levels == [5, 4, 5]


async def test_a_refusal_is_no_reason_for_another_version(broker: ScriptedBroker) -> None:
    broker.connack[5] = NOT_AUTHORISED
    client = client_of(broker.port)
    for _ in range(2):
        assert await refused(client) == "the broker refused: Not authorized"
    assert broker.levels == [5, 5]


async def test_broker_that_is_not_there_is_reported() -> None:
    assert "Connection refused" in await refused(client_of(free_port()))


async def test_broker_that_does_not_answer_is_left_in_time(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.connack[5] = b""
    monkeypatch.setattr(paho_link, "CONNECT_SECONDS", 0.2)
    assert await refused(client_of(broker.port)) == "the broker does not answer"


async def test_message_that_is_not_acknowledged_ends_the_connection(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.puback = None
    monkeypatch.setattr(paho_link, "ACKNOWLEDGE_SECONDS", 0.2)
    async with client_of(broker.port).open_link() as link:
        with pytest.raises(BrokerAway, match="does not acknowledge"):
            await link.publish(MESSAGE)


async def test_refused_message_is_logged_once_and_does_not_stop_others(
    broker: ScriptedBroker,
) -> None:
    broker.puback = 0x87
    with capture_logs() as lines:
        async with client_of(broker.port).open_link() as link:
            await link.publish(MESSAGE)
            await link.publish(MESSAGE)
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("mqtt message refused", "Not authorized")
    ]


async def test_lost_connection_is_noticed_while_nothing_is_published(
    broker: ScriptedBroker,
) -> None:
    async with client_of(broker.port).open_link() as link:
        broker.writers[-1].close()
        assert str(await link.lost()) == "the connection ended"
        with pytest.raises(BrokerAway):
            await link.publish(MESSAGE)


async def test_second_client_of_the_same_topic_is_named(broker: ScriptedBroker) -> None:
    async with client_of(broker.port).open_link() as link:
        broker.send(TAKEN_OVER)
        assert "does a second Potoo use mqtt.topic?" in str(await link.lost())


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff\xff\xff\xff\xff", b"\x40\x00", b"\x30\x03\xff\xff\xff", b"\x90\x01\x00", b"HTTP/1.1"],
)
async def test_nonsense_ends_the_connection(broker: ScriptedBroker, nonsense: bytes) -> None:
    async with client_of(broker.port).open_link() as link:
        broker.send(nonsense)
        broker.writers[-1].close()
        assert str(await link.lost())


async def test_retained_topics_are_found(broker: ScriptedBroker) -> None:
    topic = b"potoo/cameras/door/availability"
    message = len(topic).to_bytes(2) + topic + b"\x00" + b"online"
    async with client_of(broker.port).open_link() as link:
        broker.send(bytes((0x31, len(message))) + message)
        broker.send(bytes((0x30, len(message))) + message.replace(b"door", b"bins"))
        await eventually(lambda: bool(link.retained_topics()))
        await link.publish(MESSAGE)
        assert link.retained_topics() == {topic.decode()}


async def test_message_published_while_the_task_is_cancelled_leaves_a_usable_connection(
    broker: ScriptedBroker,
) -> None:
    broker.puback = None
    async with client_of(broker.port).open_link() as link:
        task = asyncio.create_task(link.publish(MESSAGE))
        await eventually(lambda: bool(broker.published))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        broker.puback = 0
        await link.publish(MESSAGE)
