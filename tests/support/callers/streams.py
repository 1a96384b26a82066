"""Streams frames over a WebSocket, as a client of ``/v1/stream`` would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.callers.accounts import bearer
from tests.support.proxies.tls import Edge
from tests.support.servers.server import LiveServer

PATH = "/v1/stream"
PATIENCE = 60.0
SUBPROTOCOL = Subprotocol("potoo.v1")
Message = dict[str, Any]


class Stream:
    """One open stream; messages are received in order."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.welcome: Message = {}

    def say(self, type_: str, **members: object) -> None:
        """Send a text message."""
        self.websocket.send(json.dumps({"type": type_, **members}))

    def hear(self, *types: str) -> Message:
        """The next message; of the given types, if any are given."""
        message: Message = json.loads(self.websocket.recv(PATIENCE))
        assert not types or message["type"] in types, message
        return message

    def hello(self, **members: object) -> Message:
        """Send the hello; return the welcome."""
        self.say("hello", **members)
        self.welcome = self.hear("welcome")
        return self.welcome

    def send_frame(self, number: int, image: bytes) -> None:
        """Send a frame."""
        self.websocket.send(number.to_bytes(8, "big") + image)

    def closed(self) -> tuple[int, str]:
        """Read to the end; return the server's close code and reason."""
        with suppress(ConnectionClosed):
            while True:
                self.websocket.recv(PATIENCE)
        code = self.websocket.close_code
        assert code is not None
        return code, self.websocket.close_reason or ""


@contextmanager
def connected(
    server: LiveServer,
    token: str | None = None,
    *,
    origin: str | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Iterator[Stream]:
    """A WebSocket without a hello; ``token``: for the Authorization header."""
    address = server.url.replace("http://", "ws://") + PATH
    headers = {**(headers or {}), **(bearer(token) if token else {})}
    if origin:
        headers["Origin"] = origin
    arguments: dict[str, Any] = {
        "subprotocols": [SUBPROTOCOL],
        "open_timeout": PATIENCE,
        "compression": None,
        "additional_headers": headers,
    }
    with connect(address, **arguments | options) as websocket:
        yield Stream(websocket)


def refusal(server: LiveServer, token: str | None = None, **options: Any) -> tuple[int, str]:
    """Status and error code of a refused handshake."""
    with pytest.raises(InvalidStatus) as refused, connected(server, token, **options):
        pass
    response = refused.value.response
    problem = json.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == problem["request_id"]
    assert response.status_code == problem["status"]
    return response.status_code, problem["code"]


@contextmanager
def opened(server: LiveServer, **options: object) -> Iterator[Stream]:
    """A stream with its welcome; ``options`` of the hello."""
    with connected(server, server.token("stream")) as stream:
        stream.hello(options=options)
        yield stream


@contextmanager
def through(edge: Edge, server: LiveServer, **members: object) -> Iterator[Stream]:
    """A stream through a proxy, as a page behind it would open it; ``members`` of its hello."""
    headers = {"Origin": f"https://{edge.name}:{edge.address[1]}"}
    with edge.websocket(PATH, subprotocols=[SUBPROTOCOL], additional_headers=headers) as websocket:
        stream = Stream(websocket)
        stream.hello(token=server.token("stream"), **members)
        yield stream
