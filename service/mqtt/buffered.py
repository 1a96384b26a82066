"""A socket that reads and writes many packets at once.

paho reads a packet with three calls of the system and writes each one with one: at thousands of
small messages a second that is most of its time.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client

from service.mqtt.packets import Packet, Publish, next_packet, read_puback, read_publish

READ_BYTES = 262_144
MAX_UNSENT_BYTES = 1_048_576


class BufferedSocket:
    """A non-blocking socket for paho. ``fill`` reads, ``flush`` sends what ``send`` has taken.

    paho sees whole packets only.
    """

    def __init__(self, sock: Any) -> None:  # noqa: ANN401 - a socket or one of ssl
        self._sock = sock
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read, self._at, self._end = b"", 0, 0
        self._unsent = bytearray()

    @property
    def is_buffered(self) -> bool:
        """Whether there may be a packet without asking the system."""
        return next_packet(self._read, self._at) is not None or (
            isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        )

    @property
    def has_unsent(self) -> bool:
        """Whether ``flush`` has something to do."""
        return bool(self._unsent)

    def fill(self) -> bool:
        """Read what the system has; return False at the end of the connection."""
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        self._confirm()
        self._read, self._at = self._read[self._at :] + data, 0
        return bool(data)

    def packet(self) -> Packet | None:
        """Return the next packet, if all of it is here; ``recv`` gives its bytes and no others.

        Raises:
            ValueError: its length is malformed.
        """
        packet = next_packet(self._read, self._at)
        self._end = self._at if packet is None else packet.end
        return packet

    def message(self, packet: Packet) -> Publish:
        """Take the message of a packet.

        Raises:
            ValueError: it is malformed.
        """
        self._at = packet.end
        return read_publish(self._read, packet)

    def confirmation(self, packet: Packet) -> tuple[int, int]:
        """Take a PUBACK: packet identifier and reason code.

        Raises:
            ValueError: it is malformed.
        """
        self._at = packet.end
        return read_puback(self._read, packet)

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes of the packet.

        Raises:
            BlockingIOError: there are none.
        """
        end = min(self._at + size, self._end)
        if self._at >= end:
            raise BlockingIOError
        piece = self._read[self._at : end]
        self._at = end
        return piece

    def _confirm(self) -> None:
        """Let the system confirm what was read at once, not after 40 ms.

        Brokers that leave Nagle's algorithm on (mosquitto) send the next message only then. The
        system forgets the option.
        """
        if hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send(self, data: bytes) -> int:
        """Take all of ``data``, or nothing if too much waits.

        Raises:
            BlockingIOError: too much waits.
        """
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.flush()
            if len(self._unsent) > MAX_UNSENT_BYTES:
                raise BlockingIOError
        self._unsent += data
        return len(data)

    def put(self, packets: bytes) -> None:
        """Take whole packets, however much waits."""
        self._unsent += packets

    def flush(self) -> None:
        """Send what the system takes.

        Raises:
            OSError: the connection ended.
        """
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._unsent[:sent]

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._sock.fileno())

    def setblocking(self, flag: bool) -> None:
        """See ``socket.setblocking``."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Send what is left, if that is possible at once, and close."""
        try:
            self.flush()
        except OSError:
            self._unsent.clear()
        finally:
            self._sock.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


class BufferedClient(Client):
    """paho's client over a ``BufferedSocket``."""

    def _create_socket(self) -> Any:  # noqa: ANN401
        return BufferedSocket(super()._create_socket())
