"""A webhook receiver in threads, that records requests and can misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.servers.stand_in import stand_in


@dataclass
class Request:
    """One request that arrived whole."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> int:
        return int(json.loads(self.body)["data"]["id"])


@dataclass
class Receiver:
    """Answers ``/STATUS`` with that status, and other paths with 200.

    ``/hang`` never answers; ``/drip`` and ``/flood`` answer 200 with a body that does not end, and
    ``/garbage`` with something else than HTTP; ``/cut`` closes the connection.

    Attributes:
        acknowledged: ids of the events whose answer was sent with 200.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    can_answer: threading.Event = field(default_factory=threading.Event)
    ends: threading.Event = field(default_factory=threading.Event)
    flooded: int = 0
    hold_from: int | None = None
    """Id of the first event that gets no answer."""

    def has_arrived(self, number: int) -> bool:
        """Whether an event arrived."""
        return any(request.event == number for request in self.requests)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["content-length"])
        request = Request(handler.path, dict(handler.headers.items()), handler.rfile.read(length))
        self.requests.append(request)
        self.can_answer.wait()
        if self.hold_from is not None and request.event >= self.hold_from:
            handler.close_connection = True
            handler.connection.recv(1)  # until the sender is gone
            return
        misbehave = getattr(self, f"_{handler.path.strip('/')}", None)
        if misbehave:
            misbehave(handler)
            return
        status = int(handler.path[1:]) if handler.path[1:].isdigit() else 200
        handler.send_response(status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")
        if status == 200:
            self.acknowledged.append(request.event)

    def _hang(self, _: Any) -> None:
        self.ends.wait()

    def _cut(self, handler: Any) -> None:
        handler.close_connection = True

    def _garbage(self, handler: Any) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n")
        handler.close_connection = True

    def _drip(self, handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not self.ends.is_set():
            handler.wfile.write(b".")
            time.sleep(0.05)

    def _flood(self, handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not self.ends.is_set():
            self.flooded += handler.wfile.write(b"x" * 65_536)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()
    receiver.can_answer.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.answer(self)

    def release() -> None:
        receiver.ends.set()
        receiver.can_answer.set()

    with stand_in(Handler, at_end=release, leaves_callers=True) as (host, port):
        receiver.url = f"http://{host}:{port}"
        yield receiver
