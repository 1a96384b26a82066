"""Caddy's responses and logs when Potoo is slow, hanging or down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.proxies.caddy import (
    LITTLE_PATIENCE,
    Caddy,
    adapted,
    caddy,
    check_problem,
    programs,
)
from tests.support.proxies.tls import drip
from tests.support.proxies.upstreams import Recorder, recorder
from tests.support.servers.server import LiveServer, serve

pytestmark = pytest.mark.slow

SECRET = "not-to-be-logged"


@pytest.fixture
def behind() -> Iterator[Recorder]:
    with recorder() as recording:
        yield recording


@pytest.fixture(params=programs())
def impatient(request: pytest.FixtureRequest, tmp_path: Path, behind: Recorder) -> Iterator[Caddy]:
    """Caddy with a short time-out for responses."""
    upstream = behind.address
    with caddy(
        tmp_path, request.param, upstream=upstream, POTOO_ANSWER_TIMEOUT=f"{LITTLE_PATIENCE}s"
    ) as running:
        yield running


@pytest.mark.parametrize("program", programs())
def test_slowly_sent_body_times_out(program: str, tmp_path: Path, colours: Path) -> None:
    folders = tmp_path / "server", tmp_path / "caddy"
    for folder in folders:
        folder.mkdir()
    with (
        serve(folders[0], models=colours, POTOO_LIMITS__BODY_TIMEOUT_SECONDS="1") as server,
        caddy(folders[1], program, upstream="{}:{}".format(*server.address)) as front,
    ):
        for length in (1000, 10**6):
            with front.edge.raw() as connection:
                said = drip(connection, _upload(server, length))[1]
            head, _, body = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert json.loads(body)["code"] == "upload_timeout"


def test_request_is_not_retried_after_a_closed_connection(
    impatient: Caddy, behind: Recorder
) -> None:
    before = len(behind.received)
    with impatient.edge.client() as client:
        assert client.post("/hang-up", content=b"a").status_code == 502
    assert len(behind.received) == before + 1


def test_silent_server_causes_a_gateway_timeout(impatient: Caddy, behind: Recorder) -> None:
    answer = impatient.edge.get("/wait")
    behind.waited.set()
    check_problem(answer, 504, "deadline_exceeded")
    assert answer.headers["retry-after"] == "1"


@pytest.fixture(params=programs())
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caddy]:
    """Caddy without an upstream."""
    with caddy(tmp_path, request.param) as running:
        yield running


def test_unreachable_server_is_reported_at_once(alone: Caddy) -> None:
    answer = alone.edge.get("/v1/models")
    check_problem(answer, 502, "not_ready")
    assert answer.headers["retry-after"] == "1"
    answer = alone.edge.get("/v2/models/a")
    assert (answer.status, answer.headers["content-type"]) == (502, "application/json")
    assert json.loads(answer.body) == {"error": "The server cannot be reached at the moment."}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    with alone.edge.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        alone.edge.rpc(channel).ask("ServerLive", b"")
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_logs_contain_no_token(alone: Caddy) -> None:
    spoken = (
        "Authorization: Bearer",
        "Cookie: a=",
        "X-Api-Key:",
        "Sec-WebSocket-Protocol: bearer,",
    )
    headers = [f"{name} {SECRET}" for name in spoken]
    path = f"/v1/classify?token={SECRET}&a=?{SECRET}"
    assert alone.edge.get(path, *headers, "X-Request-ID: mine").status == 502
    entry = alone.logged("/v1/classify")
    assert (entry["status"], entry["request"]["remote_ip"]) == (502, "127.0.0.1")
    assert (entry["request"]["method"], entry["request_id"]) == ("GET", "mine")
    assert SECRET not in alone.log.read_text() + alone.access_log.read_text()


@pytest.mark.parametrize("program", programs())
def test_every_log_filters_headers_and_queries(program: str) -> None:
    encoders = [log["encoder"] for log in adapted(program)["logging"]["logs"].values()]
    assert len(encoders) >= 2
    for encoder in encoders:
        assert encoder["fields"]["request>headers"] == {"filter": "delete"}
        assert encoder["fields"]["request>uri"]["regexp"] == r"\?.*"


def _upload(server: LiveServer, length: int) -> bytes:
    lines = (
        *("POST /v1/classify HTTP/1.1", "Host: localhost", "Content-Type: image/png"),
        *(f"Authorization: Bearer {server.token()}", f"Content-Length: {length}"),
    )
    return "\r\n".join((*lines, "", "")).encode()
