"""Exchange the packets of a paho client in a thread, with any number of open files.

paho's own thread calls select(2), which fails for descriptors of 1024 and more; paho takes that
for a lost connection.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress

from paho.mqtt.client import Client

GOODBYE_SECONDS = 2.0
"""Limit on sending the queued messages of a client after ``stop``."""
LOOP_SECONDS = 1.0
"""Time between two looks at the keep-alive."""


class PahoThread:
    """A thread that reads and writes for a connected client, and calls its callbacks."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stopping = threading.Event()
        self._until = float("inf")
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._thread = threading.Thread(target=self._main, name="paho", daemon=True)

    def start(self) -> None:
        """Start the thread, after ``connect`` of the client."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.settimeout(0)
        self.client.on_socket_register_write = lambda *_: self._wake()
        self._thread.start()

    @property
    def is_started(self) -> bool:
        """Whether ``stop`` has a thread to end."""
        return self._ends is not None

    def stop(self) -> None:
        """Send what is queued, and end the thread; do nothing without one. Blocks."""
        if self._ends is None:
            return
        self._until = time.monotonic() + GOODBYE_SECONDS
        self.stopping.set()
        self._wake()
        self._thread.join()
        for end in self._ends:
            end.close()

    def run(self) -> None:
        """Read and write until the connection ends or ``stop`` is called; run in the thread."""
        client, ends = self.client, self._ends
        sock = client.socket()
        if sock is None or ends is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(ends[0], selectors.EVENT_READ)
            selector.register(sock, selectors.EVENT_READ)
            while client.socket() is sock and not self._is_over():
                writing = selectors.EVENT_WRITE if client.want_write() else 0
                selector.modify(sock, selectors.EVENT_READ | writing)
                is_pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
                found = selector.select(0 if is_pending else LOOP_SECONDS)
                ready = {key.fileobj: events for key, events in found}
                if ends[0] in ready:
                    ends[0].recv(1024)
                if is_pending or ready.get(sock, 0) & selectors.EVENT_READ:
                    client.loop_read()
                if client.want_write():
                    client.loop_write()
                client.loop_misc()

    def _main(self) -> None:
        try:
            self.run()
        finally:
            if sock := self.client.socket():
                sock.close()

    def _is_over(self) -> bool:
        if not self.stopping.is_set():
            return False
        return time.monotonic() > self._until or not self.client.want_write()

    def _wake(self) -> None:
        if self._ends is not None:
            with suppress(OSError):  # full: it wakes anyway; closed: it has ended
                self._ends[1].send(b"\0")
