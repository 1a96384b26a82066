"""Revocation (RFC 7009) and introspection (RFC 7662) of tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import (
    Device,
    Person,
    add_device,
    basic,
    bearer,
    holds,
    oauth_error,
    refreshed,
)
from tests.support.callers.answers import problem_of
from tests.support.servers.server import LiveServer

REVOKE, INTROSPECT = "/v1/auth/revoke", "/v1/auth/introspect"


@pytest.fixture(scope="module")
def inspector(server: LiveServer) -> Device:
    """A backend that may introspect tokens."""
    return add_device(server, introspect=True)


def revoke(server: LiveServer, token: str, **more: str) -> httpx.Response:
    answer = httpx.post(server.url + REVOKE, data={"token": token} | more)
    assert answer.headers["cache-control"] == "no-store"
    return answer


def introspect(server: LiveServer, inspector: Device, token: str, **more: str) -> dict[str, Any]:
    form = inspector.credentials | {"token": token} | more
    answer = httpx.post(server.url + INTROSPECT, data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


# Revocation


def test_refresh_token_revocation_signs_out_the_device(server: LiveServer, person: Person) -> None:
    one, other = person.sign_in(), person.sign_in()
    answer = revoke(server, one["refresh_token"], token_type_hint="refresh_token")
    assert (answer.status_code, answer.content) == (200, b"")
    assert not holds(server, one["access_token"])
    assert oauth_error(refreshed(server, one["refresh_token"])) == (400, "invalid_grant")
    assert holds(server, other["access_token"])


def test_used_refresh_token_can_still_sign_out_the_device(
    server: LiveServer, person: Person
) -> None:
    first = person.sign_in()
    second = refreshed(server, first["refresh_token"]).json()
    assert revoke(server, first["refresh_token"]).status_code == 200
    assert not holds(server, second["access_token"])
    assert refreshed(server, second["refresh_token"]).status_code == 400


def test_access_token_revocation_keeps_the_session(server: LiveServer, person: Person) -> None:
    issued = person.sign_in()
    assert holds(server, issued["access_token"])  # it is cached now
    assert revoke(server, issued["access_token"]).status_code == 200
    assert not holds(server, issued["access_token"])
    fresh = refreshed(server, issued["refresh_token"]).json()
    assert holds(server, fresh["access_token"])


SPELLINGS: dict[str, Callable[[str], str]] = {
    "unchanged": lambda token: token,
    "padded": lambda token: token + "=",
    "another last character": lambda token: token[:-1] + chr(ord(token[-1]) + 1),
    "a line end": lambda token: token + "\n",
    "another alphabet": lambda token: token.replace("-", "+").replace("_", "/"),
    "a blank before": lambda token: " " + token,
    "percent": lambda token: token.replace("A", "%41"),
    "an additional signature": lambda token: f"{token}.{token.rpartition('.')[2]}",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_revoked_token_is_refused_in_every_spelling(
    server: LiveServer, person: Person, spelling: Callable[[str], str]
) -> None:
    token = person.sign_in()["access_token"]
    revoke(server, token)
    if "\n" in spelling(token):
        with pytest.raises(httpx.LocalProtocolError):
            holds(server, spelling(token))
    else:
        assert not holds(server, spelling(token))


def test_repeated_revocation_is_logged_once(server: LiveServer, person: Person) -> None:
    token = person.sign_in()["access_token"]
    before = server.events().count('"event":"token_revoked"')
    assert [revoke(server, token).status_code for _ in range(5)] == [200] * 5
    assert server.events().count('"event":"token_revoked"') == before + 1


@pytest.mark.parametrize(
    "token",
    ["x", "a.b.c", "prt_", "prt_" + "A" * 64, "\0", "a" * 10_000, "é", "' OR 1=1--", "{access}A", "{forged}"],
)  # fmt: skip
def test_revoking_an_invalid_token_gets_the_same_answer(
    server: LiveServer, person: Person, token: str
) -> None:
    issued = person.sign_in()["access_token"]
    header, claims, signature = issued.split(".")
    forged = f"{header}.{claims}.{signature[::-1]}"
    answer = revoke(server, token.format(access=issued, forged=forged))
    assert (answer.status_code, answer.content) == (200, b"")
    assert holds(server, issued)


@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
@pytest.mark.parametrize(
    "body", [b"", b"token=", b"token=a&token=b", b"tokens=a", b"\xff", b"token_type_hint=x"]
)
def test_form_without_exactly_one_token_is_refused(
    server: LiveServer, inspector: Device, path: str, body: bytes
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    form |= basic(inspector.name, inspector.secret)
    answer = httpx.post(server.url + path, content=body, headers=form)
    assert oauth_error(answer) == (400, "invalid_request")
    answer = httpx.post(server.url + path, json={"token": "x"})
    assert oauth_error(answer) == (400, "invalid_request")


def test_refusal_states_that_the_token_was_revoked(server: LiveServer, person: Person) -> None:
    token = person.sign_in()["access_token"]
    revoke(server, token)
    problem = problem_of(httpx.get(f"{server.url}/v1/models", headers=bearer(token)))
    assert problem["detail"] == "The access token was revoked."


# Introspection


def test_introspection_returns_the_token_claims(
    server: LiveServer, person: Person, inspector: Device
) -> None:
    issued = person.sign_in(scope="classify", client_id="an app")
    claims = issued["access_token"].split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    found = introspect(server, inspector, issued["access_token"])
    assert found == {
        "active": True,
        "token_type": "access_token",
        **{name: said[name] for name in ("scope", "client_id", "sub", "exp", "iat", "iss", "jti")},
    }
    assert (found["sub"], found["client_id"], found["scope"]) == (
        person.name,
        "an app",
        "classify",
    )
    kept = introspect(server, inspector, issued["refresh_token"])
    assert (kept["active"], kept["token_type"], kept["sub"]) == (True, "refresh_token", person.name)
    assert kept["exp"] > found["exp"]


def test_introspection_does_not_use_up_a_token(
    server: LiveServer, person: Person, inspector: Device
) -> None:
    token = person.sign_in()["refresh_token"]
    assert [introspect(server, inspector, token)["active"] for _ in range(2)] == [True, True]
    assert refreshed(server, token).status_code == 200


def test_introspection_reports_invalid_tokens_only_as_inactive(
    server: LiveServer, person: Person, inspector: Device
) -> None:
    first = person.sign_in()
    used_up = first["refresh_token"]
    second = refreshed(server, used_up).json()
    revoke(server, second["access_token"])
    gone = person.sign_in()
    revoke(server, gone["refresh_token"])
    tokens = [
        used_up,
        second["access_token"],
        *(gone[n] for n in ("access_token", "refresh_token")),
    ]
    for token in [*tokens, "x", "\0", "a.b.c", first["access_token"] + "A", "a" * 10_000]:
        assert introspect(server, inspector, token) == {"active": False}


def test_introspection_requires_a_permitted_client(
    server: LiveServer, person: Person, inspector: Device
) -> None:
    token = person.sign_in()["access_token"]
    url = server.url + INTROSPECT
    other = add_device(server)
    wrong = [
        other.credentials,
        inspector.credentials | {"client_secret": "wrong"},
        {"client_id": person.name, "client_secret": person.password},
        {"client_id": "nobody", "client_secret": "x"},
    ]
    for credentials in wrong:
        answer = httpx.post(url, data=credentials | {"token": token})
        assert oauth_error(answer) == (401, "invalid_client")
    answer = httpx.post(url, data={"token": token}, headers=basic(inspector.name, "wrong"))
    assert oauth_error(answer) == (401, "invalid_client")
    for headers in ({}, bearer(token), bearer(server.token("admin"))):
        answer = httpx.post(url, data={"token": token}, headers=headers)
        assert oauth_error(answer) == (401, "invalid_client")
    answer = httpx.post(url, data=inspector.credentials)
    assert oauth_error(answer) == (400, "invalid_request")
    answer = httpx.post(url, data={"token": token}, headers=basic(inspector.name, inspector.secret))
    assert answer.json()["active"] is True
