"""MQTT 5 through a broker, by paho-mqtt (the extra ``potoo[mqtt]``).

A broker confirms what it may lose later, so its acknowledgements only bound what is under way: the
server's ACK frames say what is safe.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from client.sensors.errors import Disconnected
from client.sensors.links.address import Address
from client.sensors.links.paho_thread import PahoThread
from client.sensors.links.ports import Greeting
from client.sensors.signal import Signal
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, WireError
from schemas.sensor_wire.messages import Message, Ping, Result, encode, parse
from schemas.sensors import SensorAnswer

CONNECT_SECONDS = 10.0
ACKNOWLEDGE_SECONDS = 30.0
KEEPALIVE_SECONDS = 20
MAX_UNDER_WAY = 16
"""Messages that the broker has not acknowledged."""
MESSAGE_BYTES = 65_536
"""Frames are joined up to this size; a longer frame is a message of its own."""
_MAX_WAITING = 10_000


class MqttLink:
    """See ``Link``. ``PahoThread`` calls the ``_on`` methods, which only pass on to the loop."""

    may_lose = True

    def __init__(self, client: Client, address: Address, name: str, epoch: int) -> None:
        root = f"{address.topic}/sensors/{name}"
        self._data, self._acks = f"{root}/data/{epoch}", f"{root}/ack/{epoch}"
        self._results, self._epoch = f"{root}/result", epoch
        self._client, self._address = client, address
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "potoo-mqtt")
        self._exchange = PahoThread(client)
        self._changed = Signal()
        self._waiting: deque[Message] = deque()
        self._under_way: set[int] = set()
        self._acknowledged: set[int] = set()
        self._is_subscribed = False
        self._end: Disconnected | None = None

    async def start(self) -> None:
        """Connect and subscribe.

        Raises:
            Disconnected: there is no connection, or the broker refused it.
        """
        client = self._client
        client.on_connect, client.on_publish = self._on_connect, self._on_publish
        client.on_disconnect, client.on_subscribe = self._on_disconnect, self._on_subscribe
        client.on_message = self._on_message
        client.connect_timeout = CONNECT_SECONDS
        try:
            await self._block(
                lambda: client.connect(
                    self._address.host, self._address.port, KEEPALIVE_SECONDS, clean_start=True
                )
            )
        except (OSError, ValueError) as error:  # of TLS too
            raise Disconnected(f"the broker cannot be reached: {error}") from error
        self._exchange.start()
        await self._wait(lambda: self._is_subscribed, CONNECT_SECONDS, "the broker does not answer")

    async def greet(self, greeting: Greeting) -> None:
        """Send PING; the broker knows the device, and the topic its epoch. See ``Link``."""
        del greeting
        await self.send([encode(Ping())])

    async def send(self, frames: Sequence[bytes]) -> None:
        """Publish frames; see ``Link``."""
        for message in _joined(frames):
            await self._wait(
                lambda: len(self._under_way) < MAX_UNDER_WAY,
                ACKNOWLEDGE_SECONDS,
                "the broker does not acknowledge",
            )
            info = self._client.publish(self._data, message, qos=1)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._end or Disconnected("the connection with the broker ended")
            if info.mid in self._acknowledged:  # before this thread came so far
                self._acknowledged.remove(info.mid)
            else:
                self._under_way.add(info.mid)

    async def receive(self) -> Sequence[Message]:
        """Wait for ACK, ERROR and result; see ``Link``."""
        await self._changed.wait_for(lambda: self._waiting or self._end)
        if not self._waiting:
            raise self._end or Disconnected("the connection with the broker ended")
        messages = list(self._waiting)
        self._waiting.clear()
        return messages

    async def close(self) -> None:
        """Disconnect, and wait for the thread that calls paho."""
        with suppress(ValueError, OSError):
            self._client.disconnect()
        if self._exchange.is_started:
            await self._block(self._exchange.stop)
        self._thread.shutdown(wait=False)  # a connection that is being opened may take seconds

    async def _block(self, work: Callable[[], object]) -> None:
        await self._loop.run_in_executor(self._thread, work)

    async def _wait(self, holds: Callable[[], object], seconds: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait_for(lambda: holds() or self._end)
        except TimeoutError:
            raise Disconnected(otherwise) from None
        if self._end:
            raise self._end

    # On the event loop

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            if topic == self._results:
                answer = SensorAnswer.model_validate_json(payload)
                if answer.epoch == self._epoch:
                    self._waiting.append(Result(answer.first_sequence, payload))
            else:
                decoder = FrameDecoder(FROM_SERVER)
                self._waiting.extend(parse(frame) for frame in decoder.feed(payload))
        except (WireError, ValidationError) as error:
            self._end = Disconnected(f"a message on {topic} cannot be understood: {error}")
        if len(self._waiting) > _MAX_WAITING:
            self._end = Disconnected("messages come faster than they are read")
        self._changed.notify()

    def _published(self, mid: int) -> None:
        if mid in self._under_way:
            self._under_way.remove(mid)
        else:
            self._acknowledged.add(mid)
        self._changed.notify()

    def _subscribed(self, refusals: list[str]) -> None:
        if refusals:
            self._ended(f"the broker refused a subscription: {refusals[0]}")
        self._is_subscribed = True
        self._changed.notify()

    def _ended(self, reason: str) -> None:
        self._end = self._end or Disconnected(reason)
        self._changed.notify()

    # In paho's thread

    def _tell(self, work: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(work)

    def _on_connect(
        self,
        client: Client,
        _: object,
        __: ConnectFlags,
        reason: ReasonCode,
        ___: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._tell(lambda: self._ended(f"the broker refused: {reason}"))
        else:
            client.subscribe([(self._acks, 1), (self._results, 1)])

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: object
    ) -> None:
        self._tell(lambda: self._ended(f"the connection with the broker ended: {reason}"))

    def _on_subscribe(
        self, _: Client, __: object, ___: int, reasons: list[ReasonCode], ____: object
    ) -> None:
        refusals = [str(one) for one in reasons if one.is_failure]
        self._tell(lambda: self._subscribed(refusals))

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        if not message.retain:
            self._tell(lambda: self._take(topic, payload))

    def _on_publish(
        self, _: Client, __: object, mid: int, ___: ReasonCode, ____: Properties
    ) -> None:
        self._tell(lambda: self._published(mid))


def _joined(frames: Sequence[bytes]) -> list[bytes]:
    """Join frames to messages of ``MESSAGE_BYTES`` at most."""
    messages: list[bytearray] = []
    for frame in frames:
        if messages and len(messages[-1]) + len(frame) <= MESSAGE_BYTES:
            messages[-1] += frame
        else:
            messages.append(bytearray(frame))
    return [bytes(message) for message in messages]


@asynccontextmanager
async def open_mqtt(
    address: Address, tls: ssl.SSLContext | None, name: str, epoch: int
) -> AsyncIterator[MqttLink]:
    """Connect with a broker; see ``OpenLink``."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        # Another connection of the same id would end this one.
        f"potoo-{name}-{secrets.token_hex(4)}",
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
    )
    if address.username:
        client.username_pw_set(address.username, address.password)
    if address.is_tls:
        client.tls_set_context(tls or ssl.create_default_context())
    link = MqttLink(client, address, name, epoch)
    try:
        await link.start()
        yield link
    finally:
        await link.close()
