"""Publishing by paho-mqtt (the extra ``potoo[mqtt]``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from observability.logs.logging import get_logger
from service.mqtt.address import BrokerAddress
from service.mqtt.buffered import BufferedClient
from service.mqtt.link import OFFLINE, BrokerAway, LinkTopics, Message
from service.mqtt.paho_thread import NotAccepted, PahoThread, first, resolve

CONNECT_SECONDS = 15.0
ACKNOWLEDGE_SECONDS = 10.0
MAX_RETAINED = 1000


class PahoBroker:
    """Opens connections with one broker: MQTT 5, or 3.1.1 if the broker does not speak 5."""

    def __init__(self, address: BrokerAddress, topics: LinkTopics) -> None:
        self._address, self._topics = address, topics
        self._protocol = MQTTProtocolVersion.MQTTv5

    @asynccontextmanager
    async def open_link(self) -> AsyncIterator[PahoLink]:
        """Connect; disconnect on exit.

        Raises:
            BrokerAway: there is no connection.
        """
        link = PahoLink(self._client(), self._address, self._topics)
        link.start()
        try:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await link.connected()
            except TimeoutError:
                raise BrokerAway("the broker does not answer") from None
            except NotAccepted as error:
                self._change_protocol()
                raise BrokerAway(str(error)) from None
            yield link
        finally:
            await link.close()

    def _change_protocol(self) -> None:
        """Try the other version next: old brokers only close the connection."""
        newest, old = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
        self._protocol = old if self._protocol is newest else newest

    def _client(self) -> BufferedClient:
        # The broker ends an older connection with the same id, which publishes its last will
        # before ours is there. MQTT 3.1.1 promises 23 characters of this alphabet.
        identity = f"potoo{hashlib.sha256(self._topics.root.encode()).hexdigest()[:16]}"
        client = new_client(identity, self._protocol, self._address)
        client.will_set(self._topics.status, OFFLINE, qos=1, retain=True)
        return client


def new_client(
    identity: str, protocol: MQTTProtocolVersion, address: BrokerAddress
) -> BufferedClient:
    """Return a client that is not connected yet, and acknowledges nothing by itself."""
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        identity,
        protocol=protocol,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if address.username:
        client.username_pw_set(address.username, address.password)
    if address.tls:
        client.tls_set_context(address.tls)
    return client


class PahoLink(PahoThread):
    """A connection; see ``Link``."""

    def __init__(self, client: BufferedClient, address: BrokerAddress, topics: LinkTopics) -> None:
        super().__init__(client, address)
        self._topics = topics
        self._acknowledgements: dict[int, _Batch] = {}
        self._retained: set[str] = set()
        self._refused: set[str] = set()
        client.on_publish, client.on_message = self._on_publish, self._on_message

    async def publish(self, message: Message) -> None:
        """Publish with QoS 1; see ``Link``."""
        await self.publish_all([message])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Publish with QoS 1; see ``Link``."""
        if self._end.done():
            raise self._end.result()
        batch = _Batch(self._loop.create_future(), len(messages))
        self.do(partial(self._publish, messages, batch))
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await first(batch.done, self._end)
        except TimeoutError:
            raise BrokerAway("the broker does not acknowledge") from None
        if not batch.done.done():
            raise self._end.result()

    def retained_topics(self) -> frozenset[str]:
        """Return the retained topics found; see ``Link``."""
        return frozenset(self._retained)

    # The thread

    def accepted(self, flags: ConnectFlags) -> None:
        """Subscribe to what was retained before."""
        del flags
        self.client.subscribe(self._topics.every_availability)

    def _publish(self, messages: Sequence[Message], batch: _Batch) -> None:
        for message in messages:
            info = self.client.publish(
                message.topic, message.payload, qos=1, retain=message.is_retained
            )
            if info.rc in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_QUEUE_SIZE}:
                self._acknowledgements[info.mid] = batch

    def _on_publish(self, _: Client, __: object, mid: int, code: ReasonCode, ___: object) -> None:
        if batch := self._acknowledgements.pop(mid, None):
            batch.missing -= 1
            if not batch.missing:
                self.tell(partial(resolve, batch.done))
        if code.is_failure and str(code) not in self._refused:
            self._refused.add(str(code))
            get_logger("mqtt").warning("mqtt message refused", reason=str(code))

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        if message.retain and message.payload and len(self._retained) < MAX_RETAINED:
            self.tell(partial(self._retained.add, message.topic))


class _Batch:
    """Messages that are published together, and how many are not acknowledged yet."""

    def __init__(self, done: asyncio.Future[None], missing: int) -> None:
        self.done, self.missing = done, missing
