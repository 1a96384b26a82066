"""Upstream servers for tests of proxies that cannot use Potoo itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import NoReturn

from websockets.sync.server import ServerConnection, serve

from tests.support.servers.stand_in import stand_in

EVENT = b"data: %d\n\n"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as received; header names unchanged."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Values of all headers with this name, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Recorder:
    """A server that records requests and returns ``200``.

    ``/events`` is a stream of server-sent events, the next one whenever ``more`` is released;
    ``/wait`` answers once ``waited`` is set; ``/hang-up`` ends the connection without an answer.
    """

    address: str = ""
    received: list[Received] = field(default_factory=list)
    more: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    waited: threading.Event = field(default_factory=threading.Event)
    stream_ended: threading.Event = field(default_factory=threading.Event)
    """Set once the reader of the events has disconnected."""
    is_over: bool = False

    def end(self) -> None:
        """Release every waiting request."""
        self.is_over = True
        self.waited.set()
        self.more.release()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = [(name, value) for name, value in request.headers.items()]
        body = _body(request)
        self.received.append(Received(request.command, request.path, headers, body))
        if request.path == "/events":
            self._stream(request)
            return
        if request.path == "/hang-up":
            request.close_connection = True
            return
        if request.path == "/wait":
            self.waited.wait(60)
        request.send_response(200)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", "2")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(b"{}")

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("connection", "close")
        request.end_headers()
        number = 0
        try:
            while self.more.acquire(timeout=60) and not self.is_over:
                request.wfile.write(EVENT % number)
                number += 1
        except ConnectionError:
            self.stream_ended.set()


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A server on a free port."""
    recording = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # proxies may drop connections at any time
                self.close_connection = True

        def __getattr__(self, name: str) -> object:
            # Any method: the handler of BaseHTTPRequestHandler is looked up as ``do_<METHOD>``.
            if name.startswith("do_"):
                return lambda: recording.answer(self)
            raise AttributeError(name)

    with stand_in(Handler, at_end=recording.end) as (host, port):
        recording.address = f"{host}:{port}"
        yield recording


@contextmanager
def echo_server() -> Iterator[str]:
    """An echo WebSocket server at every path; yields its address."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """Read a body by length or in chunks; trailers stay on the connection."""
    if request.headers.get("transfer-encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("content-length", 0)))
    body = b""
    while size := int(request.rfile.readline() or _gone(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    while request.rfile.readline().strip():
        pass
    return body


def _gone() -> NoReturn:
    raise ConnectionAbortedError
