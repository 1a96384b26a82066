"""Sessions of a user: listed, ended one by one or all at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from auth.store.tables import MAX_DEVICE_CHARS
from tests.support.callers.accounts import (
    Device,
    Person,
    add_device,
    add_person,
    bearer,
    holds,
    post,
    refreshed,
)
from tests.support.callers.answers import refusal
from tests.support.servers.server import LiveServer

SESSIONS = "/v1/auth/sessions"


def sessions(server: LiveServer, token: str) -> list[dict[str, Any]]:
    answer = httpx.get(server.url + SESSIONS, headers=bearer(token))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


def test_person_sees_only_their_own_devices(server: LiveServer, person: Person) -> None:
    add_person(server).sign_in()
    person.sign_in()
    phone = httpx.post(
        f"{server.url}/v1/auth/token",
        data=person.form(scope="classify"),
        headers={"user-agent": "Anna's phone"},
    ).json()
    listed = sessions(server, phone["access_token"])
    assert [one["current"] for one in listed] == [True, False]
    assert listed[0]["device"] == "Anna's phone"
    assert listed[0]["scopes"] == ["classify"]
    assert set(listed[0]) == {
        "id",
        "device",
        "scopes",
        "created",
        "last_seen",
        "expires",
        "current",
    }
    created, seen, expires = (
        datetime.fromisoformat(listed[0][name]) for name in ("created", "last_seen", "expires")
    )
    assert created == seen < expires
    refreshed(server, phone["refresh_token"])
    assert sessions(server, phone["access_token"])[0]["last_seen"] > listed[0]["last_seen"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b"a" * 10_000, "a" * MAX_DEVICE_CHARS),
        (b"", ""),
        (b"caf\xe9", "café"),
        (b"a\tb", "ab"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"\x80\xad\xa0", ""),
    ],
)
def test_device_name_is_sanitised_and_truncated(
    server: LiveServer, person: Person, given: bytes, shown: str
) -> None:
    url = f"{server.url}/v1/auth/token"
    issued = httpx.post(url, data=person.form(), headers={b"user-agent": given}).json()
    (one,) = sessions(server, issued["access_token"])
    assert one["device"] == shown


def test_device_is_signed_out_from_another(server: LiveServer, person: Person) -> None:
    lost, kept = person.sign_in(), person.sign_in()
    (session,) = [one for one in sessions(server, kept["access_token"]) if not one["current"]]
    url = f"{server.url}{SESSIONS}/{session['id']}"
    answer = httpx.delete(url, headers=bearer(kept["access_token"]))
    assert (answer.status_code, answer.content) == (204, b"")
    assert not holds(server, lost["access_token"])
    assert refreshed(server, lost["refresh_token"]).status_code == 400
    assert len(sessions(server, kept["access_token"])) == 1
    again = httpx.delete(url, headers=bearer(kept["access_token"]))
    assert refusal(again) == (404, "not_found")


def test_foreign_session_cannot_be_ended(server: LiveServer, person: Person) -> None:
    theirs, mine = add_person(server).sign_in(), person.sign_in()
    (session,) = sessions(server, theirs["access_token"])
    url = f"{server.url}{SESSIONS}/{session['id']}"
    for token in (mine["access_token"], server.token("admin")):
        assert refusal(httpx.delete(url, headers=bearer(token))) == (404, "not_found")
    assert holds(server, theirs["access_token"])


@pytest.mark.parametrize(
    "name",
    ["x", "%00", "%ED%A0%80", "..", "%2e%2e%2f", "a" * 10_000, "' OR 1=1--", "%F0%9F%90%A6", "0" * 32],
)  # fmt: skip
def test_unknown_session_is_not_found(server: LiveServer, name: str) -> None:
    headers = bearer(server.token("admin"))
    answer = httpx.delete(f"{server.url}{SESSIONS}/{name}", headers=headers)
    assert refusal(answer) == (404, "not_found")


def test_client_has_no_sessions(server: LiveServer) -> None:
    assert sessions(server, add_device(server).sign_in()["access_token"]) == []


def test_password_change_signs_out_every_device(server: LiveServer, person: Person) -> None:
    issued = [person.sign_in(), person.sign_in()]
    url = f"{server.url}/v1/admin/users/{person.name}/password"
    headers = bearer(server.token("admin"))
    answer = httpx.put(url, json={"password": "another password"}, headers=headers)
    assert answer.status_code == 204
    for one in issued:
        assert not holds(server, one["access_token"])
        assert refreshed(server, one["refresh_token"]).status_code == 400
    with pytest.raises(httpx.HTTPStatusError):
        person.sign_in()
    fresh = Person(server, person.name, "another password").sign_in()
    assert holds(server, fresh["access_token"])


def test_secret_rotation_ends_earlier_tokens(server: LiveServer) -> None:
    device = add_device(server)
    old = device.sign_in()["access_token"]
    secret = post(server, f"/v1/admin/clients/{device.name}/secret", None)["secret"]
    assert not holds(server, old)
    with pytest.raises(httpx.HTTPStatusError):
        device.sign_in()
    # At once, within the second in which the old ones ended.
    assert holds(server, Device(server, device.name, secret).sign_in()["access_token"])
