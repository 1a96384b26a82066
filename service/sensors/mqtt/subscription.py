"""A subscription by paho-mqtt that acknowledges a message only when it is told to.

The thread collects what a read of the socket brings and hands it to the event loop at once.
Brokers overrun Receive Maximum, so the thread reads no further while too much is held here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from service.mqtt.address import BrokerAddress
from service.mqtt.buffered import BufferedClient, BufferedSocket
from service.mqtt.link import BrokerAway
from service.mqtt.packets import PUBACK, Publish, publish_packet
from service.mqtt.paho_link import CONNECT_SECONDS, new_client
from service.mqtt.paho_thread import KEEPALIVE_SECONDS, PahoThread

MAX_PACKET_BYTES = 32 * 2**20
_NO_RETAINED = 2
"""Retain handling of MQTT 5: samples that a broker keeps are old."""


@dataclass(slots=True, eq=False)
class Delivery:
    """A message that arrived.

    Attributes:
        mid: packet identifier, by which it is acknowledged.
        is_again: the broker sends it again (DUP).
        size: bytes of the payload.
        is_done: it is, or need not be, acknowledged.
        connection: the one that it is to be acknowledged on.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int = 1
    is_again: bool = False
    content_type: str | None = None
    size: int = 0
    is_done: bool = False
    connection: object = None


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """Topic and options of a subscription.

    Attributes:
        identity: the client's id: the broker keeps the session of this id.
        filters: of topics.
        session_seconds: for which the broker keeps messages while there is no connection.
        receive_maximum: messages that the broker may send before the first is acknowledged.
        max_bytes: of payloads held here before reading pauses.
    """

    identity: str
    filters: Sequence[str]
    session_seconds: int
    receive_maximum: int
    max_bytes: int


Take = Callable[[list[Delivery]], None]


class Subscription(PahoThread):
    """A connection that receives. ``take`` is called on the event loop, with many messages."""

    def __init__(
        self,
        client: BufferedClient,
        address: BrokerAddress,
        options: SubscriptionOptions,
        take: Take,
    ) -> None:
        super().__init__(client, address)
        self._options, self._take = options, take
        self._batch: list[Delivery] = []
        self._held_bytes = self._held_messages = 0
        client.on_subscribe = self._on_subscribe

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that it may forget these messages."""
        self.do(partial(self._acknowledge, deliveries))

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish with QoS 0: topics and payloads."""
        self.do(partial(self._send, messages))

    # The thread

    def connect(self) -> None:
        """Connect; the broker keeps the session."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._options.session_seconds
        properties.ReceiveMaximum = self._options.receive_maximum
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        self.client.connect(
            self._address.host,
            self._address.port,
            KEEPALIVE_SECONDS,
            # With true, mosquitto 2.0 forgets the session when it restarts.
            clean_start=False,
            properties=properties,
        )

    def accepted(self, flags: ConnectFlags) -> None:
        """Subscribe, also where the broker kept the session: the filters may be new."""
        del flags
        options = SubscribeOptions(qos=1, retainHandling=_NO_RETAINED)
        self.client.subscribe([(one, options) for one in self._options.filters])

    def wants_messages(self) -> bool:
        """Return whether there is room."""
        return (
            self._held_bytes < self._options.max_bytes
            and self._held_messages < 2 * self._options.receive_maximum
        )

    def have_read(self) -> None:
        """Hand over what was read."""
        if self._batch:
            batch, self._batch = self._batch, []
            self.tell(partial(self._take, batch))

    takes_messages = True

    def take_message(self, message: Publish) -> None:
        """Collect a message."""
        topic, payload, mid, qos, is_again, content_type = message
        size = len(payload)
        self._held_bytes += size
        self._held_messages += 1
        self._batch.append(
            Delivery(topic, payload, mid, qos, is_again, content_type, size, connection=self)
        )

    def _on_subscribe(
        self, client: Client, _: object, __: int, codes: Sequence[ReasonCode], ___: object
    ) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            self._reason = BrokerAway(f"the broker refused the subscription: {refused[0]}")
            client.disconnect()

    def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self._held_bytes -= sum(one.size for one in deliveries)
        self._held_messages -= len(deliveries)
        sock: object = self.client.socket()
        if isinstance(sock, BufferedSocket):
            # As Client.ack would, which takes as long as all the rest: between two packets always,
            # because the socket takes whole ones.
            sock.put(b"".join(PUBACK + one.mid.to_bytes(2) for one in deliveries if one.qos))

    def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        sock: object = self.client.socket()
        if isinstance(sock, BufferedSocket):
            sock.put(b"".join(publish_packet(topic, payload) for topic, payload in messages))


def client_id(root: str, suffix: str = "") -> str:
    """Return the id of an installation, the same at every start."""
    return f"potoo{hashlib.sha256(root.encode()).hexdigest()[:16]}in{suffix}"


@asynccontextmanager
async def open_subscription(
    address: BrokerAddress, options: SubscriptionOptions, take: Take
) -> AsyncIterator[Subscription]:
    """Connect and subscribe; disconnect on exit.

    Raises:
        BrokerAway: there is no connection.
    """
    client = new_client(options.identity, MQTTProtocolVersion.MQTTv5, address)
    subscription = Subscription(client, address, options, take)
    subscription.start()
    try:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await subscription.connected()
        except TimeoutError:
            raise BrokerAway("the broker does not answer") from None
        yield subscription
    finally:
        await subscription.close()
