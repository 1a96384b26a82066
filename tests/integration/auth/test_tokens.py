"""Bearer tokens over HTTP, valid and forged."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.callers.answers import refusal
from tests.support.callers.raw_http import exchange
from tests.support.servers.server import LiveServer

UNAUTHENTICATED = (401, "unauthenticated")


@pytest.fixture
def stranger(server: LiveServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


OPEN = {"/v1/auth/token", "/v1/auth/revoke", "/v1/auth/introspect"}
"""Routes whose form contains the credentials."""


def filled(path: str) -> str:
    """A path with a value for each of its parameters."""
    for name, value in (("name", "colours"), ("session_id", "x"), ("version", "1")):
        path = path.replace(f"{{{name}}}", value)
    return path


def test_every_route_except_oauth_requires_a_token(
    server: LiveServer, stranger: httpx.Client
) -> None:
    paths: dict[str, dict[str, Any]] = stranger.get("/openapi.json").json()["paths"]
    guarded = [
        (method, filled(path))
        for path, operations in paths.items()
        for method in operations
        if path.startswith("/v1/") and path not in OPEN
    ]
    assert len(guarded) > 50
    assert set(paths) >= OPEN
    for method, path in guarded:
        assert refusal(stranger.request(method, path)) == UNAUTHENTICATED
        forged = {"authorization": f"Bearer {server.token()[:-4]}AAAA"}
        assert refusal(stranger.request(method, path, headers=forged)) == UNAUTHENTICATED


def test_missing_token_gets_a_challenge_without_an_error(stranger: httpx.Client) -> None:
    answer = stranger.get("/v1/models")
    assert answer.headers["www-authenticate"] == 'Bearer realm="potoo"'


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Token {}", "Basic {}", "Digest {}", "{}", "Bearer,{}", "Bearer\t{}", "Bearer={}", "Bearer {0}, Bearer {0}", "Bearer {0} {0}", "Bearer {0}.", "Bearer .{0}", 'Bearer "{}"', "Bearer Bearer {}", "Bearer ..", "Bearer null", "Bearer undefined", "Basic Og==", "Bearer \xe9"],
)  # fmt: skip
def test_malformed_authorization_header_is_refused(
    server: LiveServer, stranger: httpx.Client, value: str
) -> None:
    header = value.format(server.token()).encode("latin-1")
    answer = stranger.get("/v1/models", headers={b"authorization": header})
    assert refusal(answer) == UNAUTHENTICATED
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_authorization_scheme_is_case_insensitive(
    server: LiveServer, stranger: httpx.Client, scheme: str
) -> None:
    headers = {"authorization": f"{scheme} {server.token()}"}
    assert stranger.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("other", ["Bearer a.b.c", "Basic Og==", ""])
@pytest.mark.parametrize("first", [True, False])
def test_two_authorization_headers_are_refused(
    server: LiveServer, stranger: httpx.Client, other: str, *, first: bool
) -> None:
    values = [f"Bearer {server.token()}", other]
    headers = [("authorization", value) for value in (values if first else values[::-1])]
    assert refusal(stranger.get("/v1/models", headers=headers)) == UNAUTHENTICATED


def test_token_outside_the_authorization_header_is_ignored(
    server: LiveServer, stranger: httpx.Client
) -> None:
    token = server.token()
    elsewhere: list[dict[str, Any]] = [
        {"params": {"access_token": token}},
        {"params": {"token": token}},
        {"headers": {"cookie": f"access_token={token}; Authorization=Bearer {token}"}},
        {"headers": {"x-authorization": f"Bearer {token}"}},
        {"headers": {"x-api-key": token}},
        {"headers": {"proxy-authorization": f"Bearer {token}"}},
        {"headers": {"authorization_": f"Bearer {token}"}},
    ]
    for options in elsewhere:
        assert refusal(stranger.get("/v1/models", **options)) == UNAUTHENTICATED
    form = {"access_token": token}
    assert refusal(stranger.post("/v1/classify", data=form)) == UNAUTHENTICATED


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"x-original-url": "/healthz"},
        {"x-rewrite-url": "/healthz"},
        {"x-http-method-override": "GET"},
        {"host": "localhost/healthz?"},
        {"forwarded": "for=127.0.0.1;host=localhost"},
        {"x-remote-user": "admin"},
    ],
)
def test_other_headers_do_not_bypass_authentication(
    stranger: httpx.Client, headers: dict[str, str]
) -> None:
    assert stranger.get("/v1/models", headers=headers).status_code in {400, 401}


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/./models", "/v1/models?", "/v1/models?x=/healthz", "/v1/models#/healthz", "/healthz/../v1/models", "/%76%31/models", "//v1/models", "/v1/models;/healthz", "http://a/v1/models", "/v1/models%3F"],
)  # fmt: skip
def test_path_spellings_do_not_bypass_authentication(server: LiveServer, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    (answer,) = exchange(server.address, request.encode())
    assert answer.problem["status"] in {401, 404}


@pytest.mark.parametrize(
    ("scope", "method", "path", "needed"),
    [
        ("models:read", "POST", "/v1/classify", "classify"),
        ("models:read", "POST", "/v1/classify/batch", "classify"),
        ("classify", "GET", "/v1/models", "models:read"),
        ("classify", "GET", "/v1/models/colours", "models:read"),
        ("admin", "POST", "/v1/classify", "classify"),
    ],
)
def test_missing_scope_is_named_in_the_challenge(
    server: LiveServer, scope: str, method: str, path: str, needed: str
) -> None:
    with server.client(scope) as client:
        answer = client.request(method, path)
    assert refusal(answer) == (403, "insufficient_scope")
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="potoo", error="insufficient_scope", scope="{needed}"'
    )


def test_authentication_precedes_all_other_checks(stranger: httpx.Client) -> None:
    bad = {"content-type": "nonsense", "accept": "text/html", "content-encoding": "gzip"}
    answer = stranger.post("/v1/classify?top_k=x", content=b"x", headers=bad)
    assert refusal(answer) == UNAUTHENTICATED


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_tampered_token_is_refused(server: LiveServer, stranger: httpx.Client) -> None:
    token = server.token()
    header, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    other = server.token("admin").rpartition(".")[2]
    forged = {
        "no algorithm": f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': kid})}.{claims}.",
        "an ID token": f"{encoded({'alg': 'ES256', 'typ': 'JWT', 'kid': kid})}.{claims}.{signature}",
        "no signature": f"{header}.{claims}.",
        "another's signature": f"{header}.{claims}.{other}",
        "more scopes": f"{header}.{encoded(said | {'scope': 'admin'})}.{signature}",
        "another life": f"{header}.{encoded(said | {'exp': 2**40})}.{signature}",
        "five parts": f"{token}.{claims}.{signature}",
        "10 kB": f"{header}.{claims}{'A' * 10_000}.{signature}",
    }
    for name, text in forged.items():
        answer = stranger.get("/v1/models", headers={"authorization": f"Bearer {text}"})
        assert refusal(answer) == UNAUTHENTICATED, name
    assert stranger.get("/v1/models", headers={"authorization": f"Bearer {token}"}).is_success


def test_token_of_a_megabyte_is_refused(server: LiveServer) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"A" * 2**20
    (answer,) = exchange(server.address, request + b"\r\n\r\n")
    assert answer.problem["status"] == 431
