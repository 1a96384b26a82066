"""Publishing by paho-mqtt (the extra ``potoo[mqtt]``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from observability.logs.logging import get_logger
from service.mqtt.address import BrokerAddress
from service.mqtt.buffered import BufferedClient, BufferedSocket
from service.mqtt.link import OFFLINE, BrokerAway, LinkTopics, Message
from service.mqtt.packets import publish_packet
from service.mqtt.paho_thread import NotAccepted, PahoThread, first, resolve

CONNECT_SECONDS = 15.0
ACKNOWLEDGE_SECONDS = 10.0
MAX_RETAINED = 1000
IN_FLIGHT = 500
"""Messages that are not acknowledged, if the broker does not take fewer."""
SUBSCRIBED_MID, MOST_MID = 1, 65_535
"""Packet identifiers: paho uses the first one to subscribe."""
FAILURE = 0x80
"""Reason codes from here on are failures."""


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
        self._waiting: deque[tuple[Message, _Batch]] = deque()
        self._acknowledgements: dict[int, _Batch] = {}
        self._mid = SUBSCRIBED_MID
        self._retained: set[str] = set()
        self._refused: set[int] = set()
        client.on_message = self._on_message

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
        self._waiting.extend((message, batch) for message in messages)
        self._send()

    def _send(self) -> None:
        """Send what waits, as much as the broker takes at once.

        Not by ``Client.publish``, which takes ten times as long.
        """
        sock: object = self.client.socket()
        if not isinstance(sock, BufferedSocket):
            return
        most = min(IN_FLIGHT, self.receive_maximum)
        is_5 = self.client.protocol == MQTTProtocolVersion.MQTTv5
        packets = []
        while self._waiting and len(self._acknowledgements) < most:
            message, batch = self._waiting.popleft()
            mid = self._next_mid()
            self._acknowledgements[mid] = batch
            packets.append(
                publish_packet(
                    message.topic,
                    message.payload,
                    mid,
                    is_retained=message.is_retained,
                    is_5=is_5,
                )
            )
        if packets:
            sock.put(b"".join(packets))

    def _next_mid(self) -> int:
        while True:
            self._mid = self._mid % MOST_MID + 1
            if self._mid not in self._acknowledgements:
                return self._mid

    takes_confirmations = True

    def take_confirmation(self, mid: int, code: int) -> None:
        """Note that the broker has a message, or refused it."""
        if batch := self._acknowledgements.pop(mid, None):
            batch.missing -= 1
            if not batch.missing:
                self.tell(partial(resolve, batch.done))
        if code >= FAILURE and code not in self._refused:
            self._refused.add(code)
            get_logger("mqtt").warning("mqtt message refused", reason=_shown(code))

    def have_read(self) -> None:
        """Send what had to wait for acknowledgements."""
        if self._waiting:
            self._send()

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        if message.retain and message.payload and len(self._retained) < MAX_RETAINED:
            self.tell(partial(self._retained.add, message.topic))


def _shown(code: int) -> str:
    try:
        return str(ReasonCode(PacketTypes.PUBACK, identifier=code))
    except (KeyError, ValueError):  # paho does not know it
        return f"reason {code}"


class _Batch:
    """Messages that are published together, and how many are not acknowledged yet."""

    def __init__(self, done: asyncio.Future[None], missing: int) -> None:
        self.done, self.missing = done, missing
