"""Behind a proxy: client address in logs, rate limits and sign-in delays; scheme of URLs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.pb import open_inference_pb2 as pb
from tests.support.callers.accounts import TOKEN_URL, Person, add_person, oauth_error
from tests.support.callers.answers import refusal
from tests.support.callers.raw_http import PATIENCE, exchange, get
from tests.support.callers.rpc import connected
from tests.support.callers.rpc import refusal as rpc_refusal
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

WRONG, SLOW_DOWN = (400, "invalid_grant"), (429, "slow_down")
HERE, ANNA, EVE = "127.0.0.1", "198.51.100.7", "203.0.113.66"
NEVER_BELIEVED = {
    "forwarded": f"for={EVE};proto=https;host=evil.example",
    "x-real-ip": EVE,
    "x-client-ip": EVE,
    "x_forwarded_for": EVE,
    "x-forwarded-host": "evil.example",
    "x-forwarded-port": "666",
}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server that trusts this machine and 10.0.0.0/8 as proxies."""
    with serve(
        tmp_path_factory.mktemp("behind"),
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_TRUSTED_PROXIES='["127.0.0.1", "10.0.0.0/8"]',
        POTOO_AUTH__FAILURES_FREE="3",
        POTOO_AUTH__RATE_PER_ADDRESS="40/hour",
        POTOO_AUTH__LONGEST_WAIT_SECONDS="3600",
    ) as live:
        yield live


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server that does not trust this machine as a proxy."""
    with serve(
        tmp_path_factory.mktemp("before"),
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_TRUSTED_PROXIES='["10.0.0.0/8"]',
    ) as live:
        yield live


def logged(server: LiveServer, logger: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in server.events().splitlines()]
    return [event for event in events if event["logger"] == logger]


def logged_client(server: LiveServer, request_id: str) -> str | None:
    """Wait for the address of a request in the access log, which may follow the response."""
    found = list[dict[str, Any]]()

    def is_logged() -> bool:
        found[:] = [one for one in logged(server, "access") if one["request_id"] == request_id]
        return bool(found)

    assert wait_until(is_logged)
    (event,) = found
    client: str | None = event["client"]
    return client


def seen_as(server: LiveServer, **headers: str) -> str | None:
    """The address of a request in the access log."""
    number = uuid.uuid4().hex
    assert get(server.address, x_request_id=number, **headers).status == 200
    return logged_client(server, number)


def test_access_log_shows_the_forwarded_client(behind: LiveServer) -> None:
    assert seen_as(behind) == HERE
    assert seen_as(behind, x_forwarded_for=ANNA) == ANNA
    assert seen_as(behind, X_Forwarded_For=f"{EVE}, {ANNA}, 10.9.9.9") == ANNA
    assert seen_as(behind, x_forwarded_for=f"{ANNA}, unknown") == HERE
    assert seen_as(behind, x_forwarded_for="[2001:db8::7]:4711") == "2001:db8::7"


def test_repeated_forwarded_headers_are_one_list(behind: LiveServer) -> None:
    request = (
        f"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-ID: lines\r\nConnection: close\r\n"
        f"X-Forwarded-For: {EVE}\r\nX-Forwarded-For: {ANNA}\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n"
    )
    (answer,) = exchange(behind.address, request.encode())
    assert answer.status == 200
    assert logged_client(behind, "lines") == ANNA


@pytest.mark.parametrize("name", NEVER_BELIEVED)
def test_other_forwarding_headers_are_ignored(behind: LiveServer, name: str) -> None:
    url = f"{behind.url}/.well-known/oauth-authorization-server"
    told = httpx.get(url, headers={name: NEVER_BELIEVED[name], "x-request-id": name})
    assert told.json()["issuer"] == behind.url
    assert logged_client(behind, name) == HERE


def test_forwarding_headers_from_an_untrusted_peer_are_ignored(before: LiveServer) -> None:
    headers = {"x-forwarded-for": ANNA, "x-forwarded-proto": "https", **NEVER_BELIEVED}
    headers["x-request-id"] = "stranger"
    url = f"{before.url}/.well-known/oauth-authorization-server"
    assert httpx.get(url, headers=headers).json()["issuer"] == before.url
    with connected(before, None) as rpc:
        request = pb.ServerLiveRequest()
        assert rpc.ask("ServerLive", request, x_forwarded_for=ANNA, x_request_id="strange-call")
    assert logged_client(before, "stranger") == logged_client(before, "strange-call") == HERE


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["http"], "http"),
        ([], "http"),
        (["ftp"], "http"),
        (["https, http"], "http"),
        (["https", "https"], "http"),
        (["javascript:alert(1)//"], "http"),
    ],
)
def test_scheme_is_taken_from_the_proxys_header(
    behind: LiveServer, lines: list[str], scheme: str
) -> None:
    url = f"{behind.url}/.well-known/oauth-authorization-server"
    told = httpx.get(url, headers=[("x-forwarded-proto", line) for line in lines]).json()
    expected = behind.url.replace("http://", f"{scheme}://")
    assert told["issuer"] == expected
    assert told["token_endpoint"] == f"{expected}/v1/auth/token"


def sign_in(server: LiveServer, form: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    return httpx.post(server.url + TOKEN_URL, data=form, headers=headers, timeout=PATIENCE)


def guess(who: Person, address: str) -> tuple[int, str]:
    """Send a wrong password through the proxy."""
    form, headers = who.form(password="wrong"), {"x-forwarded-for": f"{EVE}, {address}"}
    return oauth_error(sign_in(who.server, form, headers))


def test_password_guessing_slows_only_the_guessers_address(behind: LiveServer) -> None:
    """Other callers behind the same proxy as the attacker can sign in."""
    guesser, other = "198.51.100.99", "198.51.100.98"
    person = add_person(behind)
    headers = {"x-forwarded-for": other}
    assert sign_in(behind, person.form(), headers).is_success
    assert [guess(person, guesser) for _ in range(4)] == [WRONG] * 4
    # The first wait of a second may be over here; each further one is twice as long.
    assert wait_until(lambda: guess(person, guesser) == SLOW_DOWN)
    assert sign_in(behind, person.form(), headers).is_success
    failed = {one["address"] for one in logged(behind, "audit") if one["event"] == "sign_in_failed"}
    blocked = [one for one in logged(behind, "audit") if one["event"] == "sign_in_blocked"]
    assert failed == {guesser}
    assert {one["address"] for one in blocked} == {guesser}


def test_rate_is_counted_per_forwarded_address(behind: LiveServer) -> None:
    busy, quiet = {"x-forwarded-for": "198.51.100.50"}, {"x-forwarded-for": "198.51.100.51"}
    url = f"{behind.url}/v1/models"
    for _ in range(40):
        assert httpx.get(url, headers=busy).status_code == 401
    assert refusal(httpx.get(url, headers=busy)) == (429, "rate_limited")
    assert refusal(httpx.get(url, headers=quiet)) == (401, "unauthenticated")
    # gRPC attributes calls to the same callers.
    with connected(behind, None) as rpc:
        request = pb.ServerMetadataRequest()
        refused = [
            rpc_refusal(
                lambda: rpc.call(
                    "ServerMetadata",
                    request,
                    x_forwarded_for=f"{EVE}, {address}",  # noqa: B023 - used at once
                    x_request_id=address,  # noqa: B023 - the same
                )
            )
            for address in ("198.51.100.50", "198.51.100.51")
        ]
    assert refused == [("RESOURCE_EXHAUSTED", "rate_limited"), ("UNAUTHENTICATED", "unauthenticated")]  # fmt: skip
    for address in ("198.51.100.50", "198.51.100.51"):
        assert logged_client(behind, address) == address


def test_last_grpc_forwarded_entry_applies(behind: LiveServer) -> None:
    """gRPC drops all but the last; the caller may have written the others."""
    with connected(behind, None) as rpc:
        path = "/inference.GRPCInferenceService/ServerLive"
        hops = [("x-forwarded-for", address) for address in (EVE, ANNA)]
        assert rpc.unary(path)(b"", metadata=[*hops, ("x-request-id", "several")]) is not None
    assert logged_client(behind, "several") == ANNA
