"""A replica that passes health checks and handles other requests as the test defines."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

from tests.support.servers.stand_in import stand_in

Mood = Literal["answer", "drop", "garbage", "silent", "busy", "limited"]
REFUSAL = b'{"code":"overloaded"}'
RETRY_AFTER = 7
STATUSES = {"answer": 200, "busy": 503, "limited": 429}


@dataclass
class Faulty:
    """``requests`` by path, without probes; ``heads`` includes those whose body has not arrived.

    ``over`` ends silent ones.
    """

    address: tuple[str, int] = ("", 0)
    mood: Mood = "answer"
    requests: Counter[str] = field(default_factory=Counter)
    heads: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def treat(self, request: BaseHTTPRequestHandler) -> None:
        self.heads[request.path] += 1
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        mood = "answer" if request.path == "/readyz" else self.mood
        if request.path != "/readyz":
            self.requests[request.path] += 1
        if mood in STATUSES:
            request.send_response(STATUSES[mood])
            request.send_header("content-type", "application/json")
            request.send_header("retry-after", str(RETRY_AFTER))
            content = REFUSAL if mood != "answer" else body
            request.send_header("content-length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
            return
        if mood == "garbage":
            request.wfile.write(b"this is no HTTP\r\n\r\n")
        if mood == "silent":
            self.over.wait(120)
        request.close_connection = True


@contextmanager
def faulty_upstream() -> Iterator[Faulty]:
    """A server on a free port."""
    upstream = Faulty()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            upstream.treat(self)

        def do_POST(self) -> None:
            upstream.treat(self)

    with stand_in(Handler, at_end=upstream.over.set, leaves_callers=True) as upstream.address:
        yield upstream
