"""Streams that are refused, at the handshake or later, and with which code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import add_device, bearer
from tests.support.callers.raw_http import exchange
from tests.support.callers.streams import PATH, connected, refusal
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve

# The handshake


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "file://",
        "http://[",
        "about:blank",
    ],
)
def test_web_page_of_another_origin_is_refused(server: LiveServer, origin: str) -> None:
    assert refusal(server, origin=origin) == (403, "cross_origin_refused")
    token = server.token("stream")
    assert refusal(server, token, origin=origin) == (403, "cross_origin_refused")


def test_our_own_page_and_listed_origins_may_connect(tmp_path: Path, colours: Path) -> None:
    listed = "https://app.example"
    with serve(tmp_path, models=colours, POTOO_CORS_ORIGINS=json.dumps([listed])) as live:
        for origin in (live.url, listed):
            with connected(live, live.token("stream"), origin=origin) as stream:
                stream.hello()
        assert refusal(live, origin="https://app.example.evil")[0] == 403
        assert "ASGI callable" not in live.events(), "a refusal is no error of the server"


def test_missing_subprotocol_is_refused(server: LiveServer) -> None:
    token = server.token("stream")
    assert refusal(server, token, subprotocols=None) == (400, "invalid_request")
    assert refusal(server, token, subprotocols=["potoo.v2"]) == (400, "invalid_request")


def test_bad_tokens_are_refused_before_the_websocket(server: LiveServer) -> None:
    assert refusal(server, "nonsense") == (401, "unauthenticated")
    assert refusal(server, server.token("classify")) == (403, "insufficient_scope")


def test_token_in_the_url_is_refused_and_not_logged(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as live:
        key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        head = b"GET %b?token=secret HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        offer = b"Sec-WebSocket-Protocol: potoo.v1\r\n\r\n"
        (answer,) = exchange(live.address, head % PATH.encode() + key + offer)
        assert (answer.status, answer.problem["code"]) == (400, "invalid_request")
        assert "secret" not in live.events()


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /v1/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
        b"POST /v1/stream HTTP/1.1\r\nHost: a\r\n",
        b"GET /v1/stream HTTP/1.0\r\nHost: a\r\n",
        b"GET /v1/streams HTTP/1.1\r\nHost: a\r\n",
    ],
)
def test_other_requests_do_not_become_websockets(server: LiveServer, lines: bytes) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    (answer,) = exchange(server.address, lines + upgrade + key)
    assert answer.status in {404, 405}


def test_handshake_without_a_key_is_refused(server: LiveServer) -> None:
    head = (
        b"GET /v1/stream HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    (answer,) = exchange(server.address, head)
    assert answer.status in {400, 426}


# The hello


@pytest.mark.parametrize(
    ("members", "code", "reason"),
    [
        ({}, 4401, "unauthenticated"),
        ({"token": "nonsense"}, 4401, "unauthenticated"),
        ({"token": "a b"}, 4401, "unauthenticated"),
        ({"token": "{classify}"}, 4403, "insufficient_scope"),
        ({"token": "{stream}", "options": {"model": "none"}}, 4404, "model_not_found"),
        ({"token": "{stream}", "options": {"mode": "some"}}, 4400, "invalid hello"),
        ({"token": "{stream}", "password": "x"}, 4400, "invalid hello"),
    ],
)
def test_refused_hello(server: LiveServer, members: dict[str, Any], code: int, reason: str) -> None:
    tokens = {f"{{{scope}}}": server.token(scope) for scope in ("classify", "stream")}
    if "token" in members:
        members = members | {"token": tokens.get(members["token"], members["token"])}
    with connected(server) as stream:
        stream.say("hello", **members)
        assert stream.hear("error")["frame"] is None
        assert stream.closed() == (code, reason)


@pytest.mark.parametrize("first", ["{", b"12345678image", '{"type":"ping"}'])
def test_stream_begins_with_a_hello(server: LiveServer, first: str | bytes) -> None:
    with connected(server, server.token("stream")) as stream:
        stream.websocket.send(first)
        stream.hear("error")
        assert stream.closed()[0] == 4400


def test_first_message_is_small(server: LiveServer) -> None:
    with connected(server, server.token("stream")) as stream:
        stream.websocket.send(bytes(70_000))
        assert stream.closed()[0] == 1009


def test_forbidden_model_is_refused(server: LiveServer) -> None:
    device = add_device(server, scopes=["stream"], models=["other"])
    with connected(server, device.sign_in()["access_token"]) as stream:
        stream.say("hello", options={"model": "colours"})
        assert stream.hear("error")["problem"]["code"] == "model_forbidden"
        assert stream.closed() == (4403, "model_forbidden")


# In the stream


def test_revoked_token_ends_the_stream(server: LiveServer) -> None:
    device = add_device(server, scopes=["stream"])
    token = device.sign_in()["access_token"]
    with connected(server, token) as idle, connected(server, token) as busy:
        idle.hello()
        busy.hello()
        httpx.post(f"{server.url}/v1/auth/revoke", data={"token": token}).raise_for_status()
        busy.send_frame(1, plain())
        assert busy.hear("error")["problem"]["code"] == "unauthenticated"
        assert busy.closed() == (4401, "unauthenticated")
        assert idle.hear("error")["problem"]["code"] == "unauthenticated"
        assert idle.closed() == (4401, "unauthenticated")


def test_removed_account_ends_the_stream(server: LiveServer) -> None:
    device = add_device(server, scopes=["stream"])
    with connected(server, device.sign_in()["access_token"]) as stream:
        stream.hello()
        path = f"{server.url}/v1/admin/clients/{device.name}"
        httpx.delete(path, headers=bearer(server.token("admin"))).raise_for_status()
        assert stream.closed()[0] == 4401
