"""HTTP spoken by hand: for requests that no client library would send."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

PATIENCE = 60.0
"""Seconds after which a test that waits for the server gives up; the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as received; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body, which must be a problem document with the request id of the header."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        assert "server" not in self.headers
        return problem


class Connection:
    """A TCP connection to the server."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int = 0) -> None:
        """``receive_buffer``: size of the kernel's receive buffer in bytes; 0 for its default."""
        self.opened = time.monotonic()
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self._received = b""
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both halves: with FIN, unless received bytes were not read."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send as much as the server accepts: it may close before it has read all."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        linger = b"\x01\0\0\0\0\0\0\0"
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def half_close(self) -> None:
        """Send FIN: nothing more is sent, but the answer is still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer:
        """Read the next response; fail if the connection ends before it is complete."""
        head = self._until(lambda: b"\r\n\r\n" in self._received)
        assert head, f"the connection ended after {self._received!r}"
        top, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = dict(_header(line) for line in lines)
        length = int(headers.get("content-length", "0"))
        assert self._until(lambda: len(self._received) >= length), "the body was cut short"
        body, self._received = self._received[:length], self._received[length:]
        return Answer(int(first.split(" ")[1]), headers, body)

    def answers(self) -> list[Answer]:
        """Read all responses until the server closes the connection."""
        self._until(lambda: False)
        found = []
        while self._received:
            found.append(self.answer())
        return found

    def seconds_to_end(self) -> float:
        """Read until the server closes; return the seconds."""
        began = time.monotonic()
        self._until(lambda: False)
        return time.monotonic() - began

    def _until(self, is_enough: Callable[[], bool]) -> bool:
        """Receive until the condition holds; False if the connection ended first."""
        while not is_enough():
            try:
                data = self.socket.recv(2**16)
            except ConnectionError:
                return False
            if not data:
                return False
            self._received += data
        return True


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def exchange(address: tuple[str, int], data: bytes) -> list[Answer]:
    """Send ``data`` on a new connection; return all data until the server closes it."""
    with Connection(address) as connection:
        connection.send(data)
        return connection.answers()


def get(address: tuple[str, int], path: str = "/healthz", **headers: str) -> Answer:
    """Send a simple request on a new connection; cheaper than a client library."""
    lines = (f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
    head = (f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *lines, "", "")
    (answer,) = exchange(address, "\r\n".join(head).encode())
    return answer


@contextlib.contextmanager
def many(address: tuple[str, int], count: int) -> Iterator[list[Connection]]:
    """Open a number of connections."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Connection(address)) for _ in range(count)]
