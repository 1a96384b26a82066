"""Probes, metrics, and the request id in every response."""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from observability.logs.audit import AuditEvent
from tests.support.callers.accounts import (
    TOKEN_URL,
    add_device,
    add_person,
    bearer,
    refreshed,
)
from tests.support.callers.raw_http import Connection, exchange, get, many
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
IN_FLIGHT = "potoo_http_requests_in_flight"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A separate server, so that counts are exact."""
    with serve(tmp_path_factory.mktemp("metrics"), models=colours) as live:
        yield live


def series(server: LiveServer) -> Series:
    """Every series and its value."""
    text = get(server.address, "/metrics").body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def requests(found: Series, method: str, route: str, status: int) -> float:
    """Number of answered requests."""
    labels = {"method": method, "route": route, "status": str(status)}
    return found.get(("potoo_http_requests_total", frozenset(labels.items())), 0)


def test_healthz_reports_ok(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_lists_models_and_store(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ready": True, "models": {"colours": True}, "store": True},
    )


def test_probes_need_no_token_and_no_accept_header(server: LiveServer) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx.get(f"{server.url}{path}", headers={"accept": "a/b"}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPEN_METRICS),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", OPEN_METRICS),
        ("application/openmetrics-text;version=99.0.0", "application/openmetrics-text; "),
        (";;;q=,,", TEXT),
    ],
)
def test_metrics_format_is_negotiated(server: LiveServer, accept: str, expected: str) -> None:
    answer = httpx.get(f"{server.url}/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(expected)
    is_open = answer.headers["content-type"].startswith("application/openmetrics-text")
    parse = open_metrics if is_open else text_string_to_metric_families
    names = {family.name for family in parse(answer.text)}
    assert answer.text.endswith("# EOF\n") is is_open
    assert {"potoo_http_requests", "potoo_errors", IN_FLIGHT, "potoo_model_ready"} <= names


def test_metrics_follow_the_conventions(server: LiveServer) -> None:
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text):
        assert re.fullmatch(r"(potoo|process|python)_[a-z0-9_]+", family.name)
        assert family.documentation
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")


def test_known_series_exist_before_the_first_event(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as fresh:
        found = series(fresh)
    for code in ("internal_error", "overloaded", "deadline_exceeded", "unauthenticated"):
        assert value(found, "potoo_errors_total", code=code) == 0
    for reason in ("queue_full", "slow_client", "connections", "body_budget"):
        assert value(found, "potoo_rejections_total", reason=reason) == 0
    assert requests(found, "POST", "/v1/classify", 200) == 0
    assert value(found, "potoo_predictions_total", model="colours", protocol="http") == 0


def test_requests_errors_and_predictions_are_counted_exactly(own: LiveServer) -> None:
    before = series(own)
    with own.client() as client:
        for _ in range(3):
            client.post("/v1/classify", files={"file": plain()})
        client.post("/v1/classify", files={"file": b"text"})
        client.post("/v1/classify/batch", files=[("files", plain()), ("files", b"text")])
        client.get("/v1/models/colours")
        client.get("/nope")
    httpx.get(f"{own.url}/v1/models")
    after = series(own)
    expected = {
        ("POST", "/v1/classify", 200): 3,
        ("POST", "/v1/classify", 415): 1,
        ("POST", "/v1/classify/batch", 200): 1,
        ("GET", "/v1/models/{name}", 200): 1,
        ("GET", "/v1/models", 401): 1,
        ("GET", "unmatched", 404): 1,
        ("POST", "/v1/auth/token", 200): 1,
        ("GET", "/metrics", 200): 1,
    }
    changed = {key: requests(after, *key) - requests(before, *key) for key in expected}
    assert changed == expected
    for code, count in {"unsupported_image": 2, "unauthenticated": 1, "not_found": 1}.items():
        labels = {"code": code}
        name = "potoo_errors_total"
        assert value(after, name, **labels) - value(before, name, **labels) == count
    name, labels = "potoo_predictions_total", {"model": "colours", "protocol": "http"}
    assert value(after, name, **labels) - value(before, name, **labels) == 4


def test_requests_in_flight_are_counted_exactly(own: LiveServer) -> None:
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        f"Authorization: Bearer {own.token()}\r\nContent-Length: 9\r\n\r\n"
    )
    with many(own.address, 3) as connections:
        for connection in connections:
            connection.send(head.encode())
        assert wait_until(lambda: value(series(own), IN_FLIGHT) == 4)  # with /metrics
        connections[0].send(b"123456789")
        assert connections[0].answer().status == 415
        assert wait_until(lambda: value(series(own), IN_FLIGHT) == 3)
    assert wait_until(lambda: value(series(own), IN_FLIGHT) == 1)


def test_request_contents_create_no_series(own: LiveServer) -> None:
    dice = random.Random(0)  # noqa: S311 - names, not secrets

    def word() -> str:
        return "".join(dice.choices(string.ascii_letters + string.digits, k=12))

    methods = ["GET", "PUT", "DELETE", "PROPFIND", "LOCK", "REPORT", "M-SEARCH"]
    asks: list[tuple[str, str]] = [
        *((method, f"/{word()}") for method in methods for _ in range(15)),
        *(("GET", f"/v1/models/{word()}") for _ in range(60)),
        *(("POST", f"/v1/classify?model={word()}") for _ in range(60)),
        *(("GET", f"/static/{word()}.js") for _ in range(60)),
        *(("GET", f"/v1/models/colours?{word()}={word()}") for _ in range(30)),
    ]
    headers = {"user-agent": word(), "x-request-id": word(), "host": f"{word()}.example"}
    with own.client() as client:
        for method, path in asks[::15]:  # a new series, which is counted too
            client.request(method, path, headers=headers)
        before = set(series(own))
        for method, path in asks:
            client.request(method, path, headers=headers)
        after = set(series(own))
    assert len(asks) > 300
    assert after == before


def test_metrics_contain_no_personal_data(own: LiveServer) -> None:
    person, device = add_person(own), add_device(own)
    issued = person.sign_in()
    refreshed(own, issued["refresh_token"])
    device.sign_in()
    headers = bearer(issued["access_token"])
    httpx.post(f"{own.url}/v1/classify", files={"file": ("jane.png", plain())}, headers=headers)
    httpx.get(f"{own.url}/v1/admin/users", headers=headers)
    text = httpx.get(f"{own.url}/metrics").text
    for name in (person.name, device.name, "jane", "127.0.0.1"):
        assert name not in text


def test_identity_events_are_counted_exactly(own: LiveServer) -> None:
    person = add_person(own)
    before = series(own)
    issued = person.sign_in()
    token = issued["access_token"]
    httpx.post(own.url + TOKEN_URL, data=person.form(password="wrong"))
    fresh = refreshed(own, issued["refresh_token"]).json()
    refreshed(own, "prt_" + "A" * 64)
    httpx.get(f"{own.url}/v1/admin/users", headers=bearer(token))
    httpx.get(f"{own.url}/v1/models", headers=bearer(token + "A"))
    for one in (token, fresh["refresh_token"]):
        httpx.post(f"{own.url}/v1/auth/revoke", data={"token": one})
    after = series(own)
    name = "potoo_audit_events_total"
    changed = {
        event: value(after, name, event=event) - value(before, name, event=event)
        for event in AuditEvent
    }
    assert {event: count for event, count in changed.items() if count} == {
        AuditEvent.SIGN_IN: 1,
        AuditEvent.SIGN_IN_FAILED: 1,
        AuditEvent.TOKEN_REFRESHED: 1,
        AuditEvent.REFRESH_FAILED: 1,
        AuditEvent.SCOPE_DENIED: 1,
        AuditEvent.TOKEN_REFUSED: 1,
        AuditEvent.TOKEN_REVOKED: 1,
        AuditEvent.SESSION_ENDED: 1,
    }
    outcomes = {("password", "issued"): 1, ("password", "invalid_grant"): 1}
    outcomes |= {("refresh_token", outcome): 1 for outcome in ("issued", "invalid_grant")}
    for (grant, outcome), count in outcomes.items():
        key = (
            "potoo_token_requests_total",
            frozenset({"grant": grant, "outcome": outcome}.items()),
        )
        assert after[key] - before.get(key, 0) == count


# Request ids


@pytest.mark.parametrize(
    "given", ["a", "0", "A.b-c_d", "a" * 128, "5f0c6d1e-8f1b-4c55-a4a3-4b1df4bd3f7a"]
)
def test_valid_request_id_is_echoed(client: httpx.Client, given: str) -> None:
    headers = {"x-request-id": given}
    answers = [
        client.get("/healthz", headers=headers),
        client.get("/nope", headers=headers),
        client.post("/v1/classify", headers=headers, files={"file": plain()}),
        client.post("/v1/classify", headers=headers, files={"file": b"text"}),
        client.get("/v1/classify", headers=headers),
        client.post("/v1/auth/token", headers=headers),
    ]
    assert [answer.headers.get_list("x-request-id") for answer in answers] == [[given]] * 6
    assert answers[2].json()["request_id"] == answers[3].json()["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [b"", b"a" * 129, b"a b", b"a\tb", b"a,b", b"a;b=c", b'"a"', b"<script>", b"\xc3\xa9", b"../a", b"a/b", b"${jndi:ldap://a}"],
)  # fmt: skip
def test_invalid_request_id_is_replaced(server: LiveServer, given: bytes) -> None:
    request = b"GET /nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: " + given
    (answer,) = exchange(server.address, request + b"\r\n\r\n")
    assert re.fullmatch("[0-9a-f]{32}", answer.problem["request_id"])
    logged = [json.loads(line).get("request_id") for line in server.events().splitlines()]
    assert given.decode("latin-1") not in logged


def test_first_of_two_request_ids_is_used(server: LiveServer) -> None:
    request = b"GET /nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: one\r\n"
    (answer,) = exchange(server.address, request + b"X-Request-ID: two\r\n\r\n")
    assert answer.headers["x-request-id"] == "one"


def test_every_request_has_a_unique_id(server: LiveServer) -> None:
    with ThreadPoolExecutor(8) as crowd:
        answers = crowd.map(lambda _: get(server.address), range(64))
        ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 64


def test_request_id_is_in_the_log(server: LiveServer) -> None:
    with Connection(server.address) as connection:
        connection.send(b"GET /nope HTTP/1.1\r\nHost: a\r\nX-Request-ID: find-me\r\n\r\n")
        connection.answer()
    assert wait_until(lambda: '"request_id":"find-me"' in server.events())


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/v1/models", "/v2/models/colours"])
def test_path_ending_with_a_newline_is_not_found(own: LiveServer, path: str) -> None:
    """Otherwise ``/metrics%0a`` would pass a proxy that closes ``/metrics``."""
    with own.client() as client:
        assert client.get(path).status_code == 200
        answer = client.get(f"{path}%0A")
        assert answer.status_code == 404
        assert "error" in answer.json() or answer.json()["code"] == "not_found"
