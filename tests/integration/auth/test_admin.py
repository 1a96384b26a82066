"""Administration of users and clients over HTTP, with the scope ``admin``."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.callers.accounts import (
    Device,
    Person,
    add_person,
    bearer,
    holds,
    oauth_error,
    refreshed,
)
from tests.support.callers.answers import refusal
from tests.support.servers.server import LiveServer

USERS, CLIENTS = "/v1/admin/users", "/v1/admin/clients"
SECRET = "hunter2 hunter2"


def refused_sign_in(who: Person | Device) -> tuple[int, str]:
    return oauth_error(httpx.post(f"{who.server.url}/v1/auth/token", data=who.form()))


def listed(admin: httpx.Client, path: str, name: str) -> dict[str, Any] | None:
    answer = admin.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    (everybody,) = answer.json().values()
    names = [one["name"] for one in everybody]
    assert names == sorted(names)
    assert "secret" not in answer.text
    assert "argon2" not in answer.text
    found: dict[str, Any] | None = next((one for one in everybody if one["name"] == name), None)
    return found


def test_added_person_can_sign_in(server: LiveServer, admin: httpx.Client) -> None:
    body = {"name": "Zoë O'Neill", "password": SECRET}
    answer = admin.post(USERS, json=body)
    assert answer.status_code == 201
    shown = answer.json()
    assert set(shown) == {"name", "scopes", "models", "disabled", "created"}
    assert (shown["name"], shown["scopes"]) == ("Zoë O'Neill", ["classify", "models:read"])
    assert (shown["models"], shown["disabled"]) == (None, False)
    assert listed(admin, USERS, "Zoë O'Neill") == shown
    assert listed(admin, CLIENTS, "Zoë O'Neill") is None
    assert holds(server, Person(server, "Zoë O'Neill", SECRET).sign_in()["access_token"])
    assert refusal(admin.post(USERS, json=body)) == (409, "conflict")
    assert refusal(admin.post(CLIENTS, json={"name": body["name"]})) == (409, "conflict")
    assert admin.delete(f"{USERS}/Zoë O'Neill").status_code == 204
    assert listed(admin, USERS, "Zoë O'Neill") is None


def test_client_secret_is_shown_once_and_works(server: LiveServer, admin: httpx.Client) -> None:
    answer = admin.post(CLIENTS, json={"name": "camera 7", "scopes": ["classify"]})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    body = answer.json()
    assert set(body) == {"name", "secret"}
    assert body["secret"].startswith("pcs_")
    shown = listed(admin, CLIENTS, "camera 7")
    assert shown
    assert (shown["introspect"], shown["scopes"]) == (False, ["classify"])
    assert listed(admin, USERS, "camera 7") is None
    issued = Device(server, "camera 7", body["secret"]).sign_in()
    assert issued["scope"] == "classify"
    assert admin.delete(f"{CLIENTS}/camera 7").status_code == 204
    assert not holds(server, issued["access_token"])


def test_disabled_account_is_refused_at_once(
    server: LiveServer, admin: httpx.Client, person: Person, device: Device
) -> None:
    for who, path in ((person, USERS), (device, CLIENTS)):
        issued = who.sign_in()
        assert holds(server, issued["access_token"])
        answer = admin.patch(f"{path}/{who.name}", json={"disabled": True})
        assert (answer.status_code, answer.json()["disabled"]) == (200, True)
        assert not holds(server, issued["access_token"])
        if "refresh_token" in issued:
            assert refreshed(server, issued["refresh_token"]).status_code == 400
    # Same response as for a wrong password: do not disclose that the account exists.
    assert refused_sign_in(person) == (400, "invalid_grant")
    assert refused_sign_in(device) == (401, "invalid_client")
    for who, path in ((person, USERS), (device, CLIENTS)):
        admin.patch(f"{path}/{who.name}", json={"disabled": False})
        assert holds(server, who.sign_in()["access_token"])


def test_removed_scopes_are_revoked_at_once(
    server: LiveServer, admin: httpx.Client, person: Person
) -> None:
    token = person.sign_in()["access_token"]
    answer = admin.patch(f"{USERS}/{person.name}", json={"scopes": ["models:read"]})
    assert answer.json()["scopes"] == ["models:read"]
    assert not holds(server, token)
    assert person.sign_in()["scope"] == "models:read"


def test_added_scopes_require_a_new_sign_in(
    server: LiveServer, admin: httpx.Client, person: Person
) -> None:
    issued = person.sign_in()
    admin.patch(f"{USERS}/{person.name}", json={"scopes": ["classify", "models:read", "jobs"]})
    assert holds(server, issued["access_token"])
    again = refreshed(server, issued["refresh_token"]).json()
    assert again["scope"] == "classify models:read"
    assert person.sign_in()["scope"] == "classify jobs models:read"


def test_empty_change_changes_nothing(
    server: LiveServer, admin: httpx.Client, person: Person
) -> None:
    token = person.sign_in()["access_token"]
    before = listed(admin, USERS, person.name)
    assert admin.patch(f"{USERS}/{person.name}", json={}).json() == before
    assert holds(server, token)


def test_removed_account_is_refused_at_once(
    server: LiveServer, admin: httpx.Client, person: Person
) -> None:
    issued = person.sign_in()
    assert admin.delete(f"{USERS}/{person.name}").status_code == 204
    assert not holds(server, issued["access_token"])
    assert refreshed(server, issued["refresh_token"]).status_code == 400
    assert refused_sign_in(person) == (400, "invalid_grant")
    assert refusal(admin.delete(f"{USERS}/{person.name}")) == (404, "not_found")


def test_account_can_be_limited_to_models(server: LiveServer, admin: httpx.Client) -> None:
    names = {
        models: add_person(server, models=models.split()).sign_in()["access_token"]
        for models in ("colours", "another", "")
    }
    seen = {
        models: httpx.get(f"{server.url}/v1/models", headers=bearer(token)).json()["models"]
        for models, token in names.items()
    }
    assert {models: len(found) for models, found in seen.items()} == {
        "colours": 1,
        "another": 0,
        "": 0,
    }
    for path in ("/v1/models/colours", "/v1/classify", "/v1/classify?model=colours"):
        method = "GET" if "models/" in path else "POST"
        answer = httpx.request(method, server.url + path, headers=bearer(names["another"]))
        assert refusal(answer) == (403, "model_forbidden")
    assert admin.get("/v1/auth/sessions").status_code == 200
