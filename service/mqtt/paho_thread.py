"""A connection by paho-mqtt in a thread of its own, where every call of paho is made: they block.

paho's own loop is not used: it selects, which fails where a server has more than 1024 open files.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from service.mqtt.address import BrokerAddress
from service.mqtt.buffered import BufferedClient, BufferedSocket
from service.mqtt.link import BrokerAway
from service.mqtt.packets import Publish

GOODBYE_SECONDS = 2.0
KEEPALIVE_SECONDS = 30
"""A broker sends the last will after one and a half times this without a sign of life."""
LOOP_SECONDS = 5.0
NO_ANSWER = "the broker did not accept the connection"
TAKEN_OVER = "another client of the same topic connected: does a second Potoo use mqtt.topic?"


class NotAccepted(BrokerAway):
    """The broker was reached, but did not answer as this version of MQTT requires."""


class PahoThread:
    """A connection. Methods run on the event loop, unless they say otherwise.

    Subclasses set callbacks of ``client``, which the thread calls, before ``start``.
    """

    def __init__(self, client: BufferedClient, address: BrokerAddress) -> None:
        self.client, self._address = client, address
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="potoo-mqtt", daemon=True)
        self._inbox: deque[Callable[[], object]] = deque()
        self._wakes, self._wake = socket.socketpair()
        self._is_woken = False
        self._is_accepted: asyncio.Future[None] = self._loop.create_future()
        self._end: asyncio.Future[BrokerAway] = self._loop.create_future()
        self._reason: BrokerAway | None = None
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect

    def start(self) -> None:
        """Start the thread, which connects."""
        for end in (self._wakes, self._wake):
            end.settimeout(0)
        self._thread.start()

    async def connected(self) -> None:
        """Wait until the broker accepted the connection.

        Raises:
            BrokerAway: it cannot be reached, or refused.
        """
        await first(self._is_accepted, self._end)
        if self._end.done():
            raise self._end.result()

    async def lost(self) -> BrokerAway:
        """Wait until the connection ended; return why."""
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        """Disconnect, and wait a little for the thread; without a connection it ends by itself."""
        self.do(self.client.disconnect)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.lost()
        self._wake.close()  # ends the loop of a connection that takes nothing more

    def do(self, work: Callable[[], object]) -> None:
        """Let the thread do something."""
        self._inbox.append(work)
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):  # full: it wakes anyway; closed: it ends
                self._wake.send(b"\0")

    def tell(self, work: Callable[[], object]) -> None:
        """Run ``work`` on the event loop; called by the thread."""
        with suppress(RuntimeError):  # the event loop ended before this thread
            self._loop.call_soon_threadsafe(work)

    # The thread

    receive_maximum = 65_535
    """Messages of QoS 1 that the broker takes before it has acknowledged the first."""

    def connect(self) -> None:
        """Connect; called by the thread."""
        self.client.connect(self._address.host, self._address.port, KEEPALIVE_SECONDS)

    def accepted(self, flags: ConnectFlags) -> None:
        """Subscribe; called by the thread when the broker accepted the connection."""

    def wants_messages(self) -> bool:
        """Return whether to read; called by the thread."""
        return True

    takes_messages = False
    """Whether ``take_message`` is called, instead of the callback of paho."""

    def take_message(self, message: Publish) -> None:
        """Take a message; called by the thread."""

    takes_confirmations = False
    """Whether ``take_confirmation`` is called, instead of the callback of paho."""

    def take_confirmation(self, mid: int, code: int) -> None:
        """Take an acknowledgement with its reason code; called by the thread."""

    def have_read(self) -> None:
        """Pass on what callbacks have collected; called by the thread."""

    def _main(self) -> None:
        reason = BrokerAway("the connection ended")
        try:
            self.connect()
            self._exchange()
            reason = self._reason or NotAccepted(NO_ANSWER)
        except (OSError, ValueError) as error:
            reason = BrokerAway(str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - what a broken broker makes paho raise
            reason = NotAccepted(repr(error))
        finally:
            if sock := self.client.socket():
                sock.close()
            self._wakes.close()
            self.tell(partial(self._ended, reason))

    def _exchange(self) -> None:
        """Read and write until the connection ends."""
        client = self.client
        sock: object = client.socket()
        if not isinstance(sock, BufferedSocket):
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakes, selectors.EVENT_READ)
            registered = 0
            while client.socket() is not None:
                is_reading = self.wants_messages()
                wanted = selectors.EVENT_READ if is_reading else 0
                if sock.has_unsent or client.want_write():
                    wanted |= selectors.EVENT_WRITE
                registered = _register(selector, sock, registered, wanted)
                timeout = 0 if is_reading and sock.is_buffered else LOOP_SECONDS
                ready = {key.fileobj for key, _ in selector.select(timeout)}
                if self._wakes in ready:
                    if not self._wakes.recv(1024):
                        return
                    self._is_woken = False
                while self._inbox:
                    self._inbox.popleft()()
                if is_reading and (sock in ready or sock.is_buffered) and not self._read(sock):
                    return
                # Not while nothing is read: the answer to a PINGREQ would not be seen.
                if client.socket() is None or client.loop_write():
                    return
                if is_reading and client.loop_misc():
                    return
                sock.flush()

    def _read(self, sock: BufferedSocket) -> bool:
        """Read packets; return whether the connection lasts."""
        is_open = sock.fill()
        try:
            while self.wants_messages() and (packet := sock.packet()):
                if self.takes_messages and packet.is_publish:
                    self.take_message(sock.message(packet))
                elif self.takes_confirmations and packet.is_puback:
                    self.take_confirmation(*sock.confirmation(packet))
                elif self.client.loop_read() or self.client.socket() is None:
                    return False
        finally:
            self.have_read()
        return is_open

    def _on_connect(
        self,
        _: object,
        __: object,
        flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            kind = NotAccepted if code == "Unsupported protocol version" else BrokerAway
            self._reason = kind(f"the broker refused: {code}")
            return
        self._reason = BrokerAway("the connection ended")
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self.accepted(flags)
        self.tell(partial(resolve, self._is_accepted))

    def _on_disconnect(
        self, _: object, __: object, flags: DisconnectFlags, code: ReasonCode, ___: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            is_taken_over = code == "Session taken over"
            self._reason = BrokerAway(TAKEN_OVER if is_taken_over else f"the broker said: {code}")

    # Called by the thread, run on the event loop

    def _ended(self, reason: BrokerAway) -> None:
        if not self._end.done():
            self._end.set_result(reason)


def _register(
    selector: selectors.BaseSelector, sock: BufferedSocket, registered: int, wanted: int
) -> int:
    """Wait for ``wanted`` events of the socket from now on."""
    if wanted != registered:
        if not registered:
            selector.register(sock, wanted)
        elif not wanted:
            selector.unregister(sock)
        else:
            selector.modify(sock, wanted)
    return wanted


def resolve(future: asyncio.Future[None]) -> None:
    """Let a future be done; it may have been cancelled."""
    if not future.done():
        future.set_result(None)


async def first(*futures: asyncio.Future[None] | asyncio.Future[BrokerAway]) -> None:
    """Wait until one of the futures is done; cancel none."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
