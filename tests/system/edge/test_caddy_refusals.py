"""Requests that the shipped Caddyfile refuses, and its error responses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.callers.raw_http import PATIENCE
from tests.support.proxies.caddy import LITTLE_PATIENCE, Caddy, caddy, check_problem, programs
from tests.support.proxies.tls import drip
from tests.support.proxies.upstreams import Recorder, recorder
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SPOOFED = (
    *("Forwarded: for=6.6.6.6", "Forwarded-For: 6.6.6.6", "X-Forwarded: 6.6.6.6"),
    *("X-Forwarded-For: 6.6.6.6", "x-FORWARDED-for: 6.6.6.6, 127.0.0.1", "X-Forwarded-Port: 6"),
    *("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /evil"),
    *("X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", "X_FORWARDED_PROTO: http"),
    *("X-Real-IP: 6.6.6.6", "X_Real_IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "Client-IP: 6.6.6.6"),
    *("True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "X-Cluster-Client-IP: 6.6.6.6"),
    *("X-Original-URL: /metrics", "X-Rewrite-URL: /metrics", "X-Original-Forwarded-For: 6.6.6.6"),
    *("X-Envoy-External-Address: 6.6.6.6", "X-ProxyUser-Ip: 6.6.6.6", "Proxy: http://evil.example"),
)
CLOSED = (
    *(
        "/metrics",
        "/METRICS",
        "/metrics/",
        "//metrics",
        "/./metrics",
        "/a/../metrics",
        "/metrics?a",
    ),
    *("/%6detrics", "/%2fmetrics", "/a/..%2fmetrics", "/%2e/metrics", "/metrics%0a", "/metrics%20"),
    *("/metrics;a", "/metrics%00", "/metrics%2f", "/metrics%23", "/metrics%3fa"),
    *("/v1/admin", "/v1/admin/users", "/V1/Admin/users", "//v1//admin//users", "/v1%2fadmin/users"),
    *("/v1%2Fadmin%2Fusers", "/v1/%61dmin/clients", "/v1/./admin/users", "/v1/a/../admin/users"),
    *("/v1/admin%0a", "/v1/admin/users/anna/password", "/v1/admin;a/users", "/v1/a/%2e%2e/admin"),
    *("/v1/models/a/versions/1/load", "/v1/models/a/versions/1/unload", "/v1/models/a/rollback"),
    *(
        "/v1/models/a/versions/1/promote?label=b",
        "/v1//models/a/rollback",
        "/v1/models/a/rollback/",
    ),
    *("/v1/models/a/ROLLBACK", "/v1/models/a%2frollback", "/v1/models/a/%72ollback"),
    *("/v1/models/a/rollback%0a", "/v1/models/a/versions/1%2fload"),
)
CLOSED_V2 = (
    *(
        "/v2/repository/models/a/load",
        "/v2/repository/models/a/unload",
        "/V2/repository/models/a/load",
    ),
    *(
        "//v2/repository/models/a/load",
        "/v2/repository/models%2fa%2fload",
        "/v2/repository/%6dodels/a/load",
    ),
)
OPEN = (
    *("/", "/docs", "/healthz", "/readyz", "/v1/models", "/v1/models/load", "/v2/repository/index"),
    *("/v1/models/rollback:predict", "/v1/models/a/labels/load:predict", "/v1/auth/token", "/v2"),
)


@pytest.fixture(scope="module")
def behind() -> Iterator[Recorder]:
    with recorder() as recording:
        yield recording


@pytest.fixture(scope="module", params=programs())
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, behind: Recorder
) -> Iterator[Caddy]:
    """Caddy before a server that records requests; small limits, short time-outs."""
    with caddy(
        tmp_path_factory.mktemp("caddy"),
        request.param,
        upstream=behind.address,
        POTOO_HEADER_TIMEOUT=f"{LITTLE_PATIENCE}s",
        POTOO_IDLE_TIMEOUT=f"{LITTLE_PATIENCE}s",
        POTOO_MAX_BODY_BYTES="100000",
        POTOO_MAX_BATCH_BYTES="200000",
    ) as running:
        yield running


@pytest.mark.parametrize("header", SPOOFED)
def test_spoofed_forwarding_headers_are_removed(
    front: Caddy, behind: Recorder, header: str
) -> None:
    name = header.partition(":")[0]
    # Proxies remove hop-by-hop headers: a caller must not have Caddy's own header removed.
    for more in ((), (f"Connection: close, {name}",)):
        front.edge.get("/spoofed", header, *more)
        arrived = behind.received[-1]
        assert arrived.values("x-forwarded-for") == ["127.0.0.1"]
        assert arrived.values("x-forwarded-proto") == ["https"]
        assert arrived.values("x-forwarded-host") == ["localhost"]
        known = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
        others = [key for key, _ in arrived.headers if key.lower() not in known]
        assert name.lower() not in map(str.lower, others)
        assert not any("_" in key for key in others)


def test_other_client_headers_are_forwarded(front: Caddy, behind: Recorder) -> None:
    said = {"authorization": "Bearer a", "x-request-id": "mine.1", "if-none-match": '"a"'}
    front.edge.get("/v1/models?a=%2f", *(f"{name}: {value}" for name, value in said.items()))
    arrived = behind.received[-1]
    assert arrived.path == "/v1/models?a=%2f"
    assert arrived.values("host") == ["localhost"]
    assert {name: arrived.values(name) for name in said} == {n: [v] for n, v in said.items()}


def test_invalid_request_id_is_replaced(front: Caddy, behind: Recorder) -> None:
    for bad in ("a b", "a" * 129, '"},{'):
        front.edge.get("/v1/models", f"X-Request-ID: {bad}")
        (given,) = behind.received[-1].values("x-request-id")
        assert len(given) == 36


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_local_only_paths_are_closed(
    front: Caddy, behind: Recorder, method: str, path: str
) -> None:
    before = len(behind.received)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: mine\r\nConnection: close"
    (answer,) = front.edge.exchange(f"{head}\r\n\r\n".encode())
    check_problem(answer, 404, "not_found")
    assert answer.problem["request_id"] == "mine"
    assert len(behind.received) == before


def test_scalers_are_published_from_this_machine_only(front: Caddy, behind: Recorder) -> None:
    before = len(behind.received)
    for path in ("/v1/scalers/a", "/V1/scalers/a", "/v1/scalers/a/", "/v1//scalers/sums/a"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close"
        (answer,) = front.edge.exchange(f"{head}\r\n\r\n".encode())
        check_problem(answer, 404, "not_found")
    assert len(behind.received) == before
    for method, path in (("POST", "/v1/scalers/sums"), ("GET", "/v1/scalers/a")):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close"
        front.edge.exchange(f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
        assert behind.received[-1].path == path


def test_absolute_request_target_opens_no_closed_path(front: Caddy, behind: Recorder) -> None:
    before = len(behind.received)
    check_problem(front.edge.get("https://localhost/metrics", host="a"), 404, "not_found")
    assert len(behind.received) == before


@pytest.mark.parametrize("path", CLOSED_V2)
def test_closed_v2_paths_have_the_v2_error_format(
    front: Caddy, behind: Recorder, path: str
) -> None:
    before = len(behind.received)
    answer = front.edge.get(path)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    assert json.loads(answer.body) == {"error": "There is nothing at this path."}
    assert len(behind.received) == before


@pytest.mark.parametrize("path", OPEN)
def test_client_paths_are_open(front: Caddy, behind: Recorder, path: str) -> None:
    assert front.edge.get(path).status == 200
    assert behind.received[-1].path == path


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1", "[::1]:1"])
def test_other_hosts_are_refused(front: Caddy, behind: Recorder, host: str) -> None:
    before = len(behind.received)
    check_problem(front.edge.get("/somewhere-else", host=host), 421, "invalid_request")
    assert len(behind.received) == before
    assert front.logged("/somewhere-else")["status"] == 421


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/classify", 10**5), ("/v1/classify/batch", 2 * 10**5)]
)
def test_body_length_limit_is_inclusive(
    front: Caddy, behind: Recorder, path: str, limit: int
) -> None:
    with front.edge.client() as client:
        assert client.post(path, content=bytes(limit)).status_code == 200
        assert len(behind.received[-1].body) == limit
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\n\r\n"
    with front.edge.raw() as connection:
        connection.send(head.encode())
        # before the body is sent
        check_problem(connection.answer(), 413, "payload_too_large")
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with front.edge.raw() as connection:
        connection.send(head.encode() + chunk * (limit // 2**16 + 1) + b"0\r\n\r\n")
        check_problem(connection.answer(), 413, "payload_too_large")


def test_slowly_sent_headers_are_cut_off(front: Caddy) -> None:
    with front.edge.raw() as connection:
        seconds, said = drip(connection, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
    assert (seconds < PATIENCE, said) == (True, b"")


def test_silent_connections_are_closed(front: Caddy) -> None:
    with front.edge.raw() as connection:
        assert connection.answers() == []


def test_event_stream_outlasts_every_timeout(front: Caddy, behind: Recorder) -> None:
    behind.stream_ended.clear()
    with front.edge.client() as client, client.stream("GET", "/events") as answer:
        behind.more.release()
        began = time.monotonic()
        for event in answer.iter_lines():
            if time.monotonic() > began + LITTLE_PATIENCE + 2:
                break
            if event:
                behind.more.release()
        else:
            pytest.fail("the stream was cut")

    def is_noticed() -> bool:
        behind.more.release()  # Caddy notices the disconnect when it writes
        return behind.stream_ended.is_set()

    assert wait_until(is_noticed)
