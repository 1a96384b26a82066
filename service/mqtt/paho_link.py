"""Connection with an MQTT broker by paho-mqtt (the extra ``potoo[mqtt]``).

Each connection has a client and a thread of its own, and every call of paho is made in that thread:
connecting blocks. paho's own loop is not used: it selects, which fails where a server has more than
1024 open files.
"""

from __future__ import annotations

import asyncio
import hashlib
import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from observability.logs.logging import get_logger
from service.mqtt.address import BrokerAddress
from service.mqtt.link import OFFLINE, BrokerAway, LinkTopics, Message

CONNECT_SECONDS = 15.0
ACKNOWLEDGE_SECONDS = 10.0
GOODBYE_SECONDS = 2.0
KEEPALIVE_SECONDS = 30
"""A broker sends the last will after one and a half times this without a sign of life."""
LOOP_SECONDS = 5.0
MAX_RETAINED = 1000
NO_ANSWER = "the broker did not accept the connection"
TAKEN_OVER = "another client of the same topic connected: does a second Potoo use mqtt.topic?"


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
            except _NotAccepted as error:
                self._change_protocol()
                raise BrokerAway(str(error)) from None
            yield link
        finally:
            await link.close()

    def _change_protocol(self) -> None:
        """Try the other version next: old brokers only close the connection."""
        newest, old = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
        self._protocol = old if self._protocol is newest else newest

    def _client(self) -> Client:
        # The broker ends an older connection with the same id, which publishes its last will
        # before ours is there. MQTT 3.1.1 promises 23 characters of this alphabet.
        identity = f"potoo{hashlib.sha256(self._topics.root.encode()).hexdigest()[:16]}"
        client = Client(
            CallbackAPIVersion.VERSION2,
            identity,
            protocol=self._protocol,
            reconnect_on_failure=False,
        )
        client.will_set(self._topics.status, OFFLINE, qos=1, retain=True)
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set_context(self._address.tls)
        return client


class _NotAccepted(BrokerAway):
    """The broker was reached, but did not answer as this version of MQTT requires."""


class PahoLink:
    """A connection; see ``Link``. Methods run on the event loop, unless they say otherwise."""

    def __init__(self, client: Client, address: BrokerAddress, topics: LinkTopics) -> None:
        self._client, self._address, self._topics = client, address, topics
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="potoo-mqtt", daemon=True)
        self._inbox: deque[Callable[[], object]] = deque()
        self._wakes, self._wake = socket.socketpair()
        self._is_accepted: asyncio.Future[None] = self._loop.create_future()
        self._end: asyncio.Future[BrokerAway] = self._loop.create_future()
        self._acknowledgements: dict[int, asyncio.Future[None]] = {}
        self._retained: set[str] = set()
        self._refused: set[str] = set()
        self._reason: BrokerAway | None = None

    def start(self) -> None:
        """Start the thread, which connects."""
        for end in (self._wakes, self._wake):
            end.settimeout(0)
        client = self._client
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        self._thread.start()

    async def connected(self) -> None:
        """Wait until the broker accepted the connection.

        Raises:
            BrokerAway: it cannot be reached, or refused.
        """
        await _first(self._is_accepted, self._end)
        if self._end.done():
            raise self._end.result()

    async def publish(self, message: Message) -> None:
        """Publish with QoS 1; see ``Link``."""
        if self._end.done():
            raise self._end.result()
        done: asyncio.Future[None] = self._loop.create_future()
        self._do(partial(self._publish, message, done))
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await _first(done, self._end)
        except TimeoutError:
            raise BrokerAway("the broker does not acknowledge") from None
        if not done.done():
            raise self._end.result()

    async def lost(self) -> BrokerAway:
        """Wait until the connection ended; return why."""
        return await asyncio.shield(self._end)

    def retained_topics(self) -> frozenset[str]:
        """Return the retained topics found; see ``Link``."""
        return frozenset(self._retained)

    async def close(self) -> None:
        """Disconnect, and wait a little for the thread; without a connection it ends by itself."""
        self._do(self._client.disconnect)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.lost()
        self._wake.close()  # ends the loop of a connection that takes nothing more

    def _do(self, work: Callable[[], object]) -> None:
        """Let the thread do something."""
        self._inbox.append(work)
        with suppress(OSError):  # full: it wakes anyway; closed: it ends
            self._wake.send(b"\0")

    def _tell(self, work: Callable[[], object]) -> None:
        """Run ``work`` on the event loop; called by the thread."""
        with suppress(RuntimeError):  # the event loop ended before this thread
            self._loop.call_soon_threadsafe(work)

    # The thread

    def _main(self) -> None:
        reason = BrokerAway("the connection ended")
        try:
            self._client.connect(self._address.host, self._address.port, KEEPALIVE_SECONDS)
            self._exchange()
            reason = self._reason or _NotAccepted(NO_ANSWER)
        except (OSError, ValueError) as error:
            reason = BrokerAway(str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - what a broken broker makes paho raise
            reason = _NotAccepted(repr(error))
        finally:
            if sock := self._client.socket():
                sock.close()
            self._wakes.close()
            self._tell(partial(self._ended, reason))

    def _exchange(self) -> None:
        """Read and write until the connection ends."""
        client, sock = self._client, self._client.socket()
        if sock is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakes, selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            while client.socket() is not None:
                wanted = selectors.EVENT_READ
                if client.want_write():
                    wanted |= selectors.EVENT_WRITE
                selector.modify(sock, wanted)
                # TLS may have decrypted more than was read.
                is_buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
                timeout = 0 if is_buffered else LOOP_SECONDS
                ready = {key.fileobj for key, _ in selector.select(timeout)}
                if self._wakes in ready and not self._wakes.recv(1024):
                    return
                while self._inbox:
                    self._inbox.popleft()()
                if (sock in ready or is_buffered) and client.loop_read():
                    return
                if client.socket() is None or client.loop_write() or client.loop_misc():
                    return

    def _publish(self, message: Message, done: asyncio.Future[None]) -> None:
        info = self._client.publish(
            message.topic, message.payload, qos=1, retain=message.is_retained
        )
        if info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._acknowledgements[info.mid] = done

    def _on_connect(
        self, client: Client, _: object, __: ConnectFlags, code: ReasonCode, ___: object
    ) -> None:
        if code.is_failure:
            kind = _NotAccepted if code == "Unsupported protocol version" else BrokerAway
            self._reason = kind(f"the broker refused: {code}")
            return
        self._reason = BrokerAway("the connection ended")
        client.subscribe(self._topics.every_availability)
        self._tell(self._accepted)

    def _on_disconnect(
        self, _: Client, __: object, flags: DisconnectFlags, code: ReasonCode, ___: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            is_taken_over = code == "Session taken over"
            self._reason = BrokerAway(TAKEN_OVER if is_taken_over else f"the broker said: {code}")

    def _on_publish(self, _: Client, __: object, mid: int, code: ReasonCode, ___: object) -> None:
        if done := self._acknowledgements.pop(mid, None):
            self._tell(partial(_resolve, done))
        if code.is_failure and str(code) not in self._refused:
            self._refused.add(str(code))
            get_logger("cameras").warning("mqtt message refused", reason=str(code))

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        if message.retain and message.payload and len(self._retained) < MAX_RETAINED:
            self._tell(partial(self._retained.add, message.topic))

    # Called by the thread, run on the event loop

    def _accepted(self) -> None:
        _resolve(self._is_accepted)

    def _ended(self, reason: BrokerAway) -> None:
        if not self._end.done():
            self._end.set_result(reason)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _first(*futures: asyncio.Future[None] | asyncio.Future[BrokerAway]) -> None:
    """Wait until one of the futures is done; cancel none."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
