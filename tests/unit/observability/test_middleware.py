"""Metrics and access log of every request, whatever its outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from observability.logs.logging import configure_logging, get_logger
from observability.metrics.metrics import Metrics
from observability.middleware import Message, ObservabilityMiddleware, Receive, Scope, Send
from observability.settings import ObservabilitySettings

pytestmark = pytest.mark.anyio

Step = Callable[[Scope, Receive, Send], Awaitable[None]]
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class Route:
    path: str


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that echoes the body, on the route that its path names."""
    scope["route"] = Route("/things/{name}")
    has_more = True
    while has_more:
        has_more = (await receive()).get("more_body", False)
    scope["state"]["principal_name"] = "anna"
    await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"123", "more_body": True})
    await send({"type": "http.response.body", "body": b"45"})


async def is_not_found(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body"})


async def fails_after_it_routes(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    scope["route"] = Route("/things/{name}")
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body"})


async def fails_before_it_answers(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise ZeroDivisionError


async def fails_while_it_answers(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError


@dataclass
class Exchange:
    """One request through the middleware, and the sent messages."""

    app: Step
    metrics: Metrics = field(default_factory=Metrics)
    body: tuple[bytes, ...] = (b"abc", b"defg")
    access_log: bool = False
    unlogged: tuple[str, ...] = ()
    sent: list[Message] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)

    async def run(
        self,
        method: str = "POST",
        path: str = "/things/7",
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        middleware = ObservabilityMiddleware(
            self.app,
            metrics=self.metrics,
            access_log=self.access_log,
            unlogged=self.unlogged,
            routes=[("GET", "/things/{name}")],
            headers=((b"x-frame-options", b"DENY"),),
        )
        self.scope = {"type": "http", "method": method, "path": path, "query_string": b"token=secret", "headers": headers, "client": ("192.0.2.7", 1234)}  # fmt: skip
        pieces = list(self.body)

        async def receive() -> Message:
            body = pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            self.sent.append(message)

        await middleware(self.scope, receive, send)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


async def test_response_has_a_request_id_and_extra_headers() -> None:
    exchange = Exchange(answers)
    await exchange.run()
    request_id = exchange.headers[b"x-request-id"].decode()
    assert REQUEST_ID.fullmatch(request_id)
    assert exchange.scope["state"]["request_id"] == request_id
    assert exchange.headers[b"x-frame-options"] == b"DENY"
    assert exchange.headers[b"a"] == b"b", "the application's own are kept"


async def test_headers_known_late_are_added_to_the_response() -> None:
    """Such as the remaining quota of a rate limit, which is counted before the endpoint."""
    left = [b"2"]

    async def counts(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["answer_headers"] = lambda: [(b"ratelimit", left[-1])]
        left.append(b"1")
        await answers(scope, receive, send)

    exchange = Exchange(counts)
    await exchange.run()
    assert exchange.headers[b"ratelimit"] == b"1", "as it is when the answer begins"
    assert exchange.headers[b"a"] == b"b"


@pytest.mark.parametrize("given", [b"a", b"Abc-12.3_x", b"x" * 128])
async def test_valid_request_id_is_kept(given: bytes) -> None:
    exchange = Exchange(answers)
    await exchange.run(headers=((b"x-request-id", given),))
    assert exchange.headers[b"x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b" ",
        b"two words",
        b"x" * 129,
        b"a\r\nb: c",
        b"a\n",
        b"\xc3\xa4",
        b"<script>",
        b"a;b",
        b"\0",
    ],
)
async def test_invalid_request_id_is_replaced(given: bytes) -> None:
    exchange = Exchange(answers)
    await exchange.run(headers=((b"x-request-id", given), (b"x-request-id", b"second")))
    assert REQUEST_ID.fullmatch(exchange.headers[b"x-request-id"].decode())


async def test_every_request_has_a_unique_id() -> None:
    ids = set()
    for _ in range(10):
        exchange = Exchange(answers)
        await exchange.run()
        ids.add(exchange.headers[b"x-request-id"])
    assert len(ids) == 10


async def test_a_request_is_counted_by_its_route_template() -> None:
    exchange = Exchange(answers)
    await exchange.run()
    route = "/things/{name}"
    assert (
        exchange.value("potoo_http_requests_total", method="POST", route=route, status="201") == 1
    )
    name = "potoo_http_request_duration_seconds_count"
    assert exchange.value(name, route=route, status_class="2xx") == 1
    assert exchange.value("potoo_http_request_body_bytes_total", route=route) == 7
    assert exchange.value("potoo_http_response_body_bytes_total", route=route) == 5


async def test_known_route_series_exist_before_the_first_request() -> None:
    exchange = Exchange(answers)
    await exchange.run(method="PUT")
    labels = {"method": "GET", "route": "/things/{name}", "status": "200"}
    assert exchange.value("potoo_http_requests_total", **labels) == 0


@pytest.mark.parametrize(
    ("app", "status"), [(fails_before_it_answers, "499"), (fails_while_it_answers, "200")]
)
async def test_request_is_counted_when_the_application_raises(app: Step, status: str) -> None:
    exchange = Exchange(app)
    with pytest.raises(ZeroDivisionError):
        await exchange.run()
    assert exchange.value("potoo_http_requests_in_flight") == 0
    labels = {"method": "POST", "route": "unmatched", "status": status}
    assert exchange.value("potoo_http_requests_total", **labels) == 1


async def test_request_is_counted_when_the_client_disconnects() -> None:
    async def reads_on(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        while (await receive())["type"] != "http.disconnect":
            pass

    exchange = Exchange(reads_on)
    messages: list[Message] = [{"type": "http.request", "body": b"a", "more_body": True}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        del message

    middleware = ObservabilityMiddleware(reads_on, metrics=exchange.metrics, access_log=False)
    await middleware({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert exchange.value("potoo_http_requests_in_flight") == 0
    labels = {"method": "POST", "route": "unmatched", "status": "499"}
    assert exchange.value("potoo_http_requests_total", **labels) == 1


async def test_requests_are_in_flight_while_processed() -> None:
    seen: list[float | None] = []
    exchange = Exchange(is_not_found)

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(exchange.value("potoo_http_requests_in_flight"))
        await is_not_found(scope, receive, send)

    exchange.app = looks
    await exchange.run()
    assert (seen, exchange.value("potoo_http_requests_in_flight")) == ([1], 0)


async def test_unknown_methods_and_paths_add_no_series() -> None:
    metrics = Metrics()

    def series() -> int:
        return sum(len(list(family.samples)) for family in metrics.registry.collect())

    await Exchange(is_not_found, metrics).run(method="BREW", path="/0")
    before = series()
    for number in range(50):
        await Exchange(is_not_found, metrics).run(method=f"BREW{number}", path=f"/{number}")
    assert series() == before
    labels = {"method": "other", "route": "unmatched", "status": "404"}
    assert metrics.registry.get_sample_value("potoo_http_requests_total", labels) == 51


async def test_other_asgi_protocols_pass_unchanged() -> None:
    seen: list[str] = []

    async def remembers(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope["type"])
        assert "state" not in scope

    async def nothing(*_: object) -> Message:
        return {}

    middleware = ObservabilityMiddleware(remembers, metrics=Metrics(), access_log=True)
    for kind in ("lifespan", "websocket"):
        await middleware({"type": kind}, nothing, nothing)  # type: ignore[arg-type]
    assert seen == ["lifespan", "websocket"]


async def test_request_is_one_access_log_line_without_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(ObservabilitySettings(log_format="json"))
    exchange = Exchange(answers, access_log=True)
    await exchange.run(headers=((b"authorization", b"Bearer secret"), (b"cookie", b"secret")))
    get_logger("test").info("end")  # lines that wait are written before it
    line, _ = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert event.pop("ms") >= 0
    assert event.pop("timestamp")
    assert event == {
        "level": "info",
        "logger": "access",
        "event": "request",
        "method": "POST",
        "route": "/things/{name}",
        "status": 201,
        "received": 7,
        "sent": 5,
        "client": "192.0.2.7",
        "principal": "anna",
        "request_id": exchange.headers[b"x-request-id"].decode(),
    }
    assert "secret" not in line, "neither headers nor query strings are logged"


async def test_access_log_can_be_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(ObservabilitySettings(log_format="json"))
    await Exchange(answers, access_log=False).run()
    get_logger("test").info("end")  # lines that wait are written before it
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "end"


@pytest.mark.parametrize(("app", "lines"), [(answers, 0), (fails_after_it_routes, 1)])
async def test_unlogged_routes_log_failures_alone(
    capsys: pytest.CaptureFixture[str], app: Step, lines: int
) -> None:
    configure_logging(ObservabilitySettings(log_format="json"))
    exchange = Exchange(app, access_log=True, unlogged=("/things/{name}",))
    await exchange.run()
    get_logger("test").info("end")  # lines that wait are written before it
    assert capsys.readouterr().err.count('"event":"request"') == lines
