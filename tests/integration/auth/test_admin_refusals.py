"""Requests refused under ``/v1/admin``; problems do not repeat their content."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import Device, Person, add_device, bearer
from tests.support.callers.answers import problem_of, refusal
from tests.support.servers.server import LiveServer

USERS, CLIENTS = "/v1/admin/users", "/v1/admin/clients"
SECRET = "hunter2 hunter2"
NOT_FOUND, CONFLICT = (404, "not_found"), (409, "conflict")


def test_last_administrator_cannot_be_removed_disabled_or_demoted(
    server: LiveServer, admin: httpx.Client
) -> None:
    url = f"{USERS}/admin"
    assert refusal(admin.delete(url)) == CONFLICT
    assert refusal(admin.patch(url, json={"disabled": True})) == CONFLICT
    assert refusal(admin.patch(url, json={"scopes": ["classify"]})) == CONFLICT
    # An administrating client does not count: it cannot sign in to the page.
    add_device(server, scopes=["admin"])
    assert refusal(admin.delete(url)) == CONFLICT
    assert admin.get(USERS).status_code == 200


OPERATIONS = [
    ("PATCH", "{}", {"disabled": True}),
    ("DELETE", "{}", None),
    ("PUT", "{}/password", {"password": SECRET}),
    ("POST", "{}/secret", None),
]


@pytest.mark.parametrize(
    "name",
    ["nobody", "%00", "%ED%A0%80", "a" * 10_000, "a%7Cb", "' OR 1=1--", "%F0%9F%90%A6", "%20", "%C2%85"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS, ids=lambda part: str(part)[:12])
def test_unknown_account_is_not_found(
    admin: httpx.Client, name: str, method: str, path: str, body: object
) -> None:
    url = f"{CLIENTS if 'secret' in path else USERS}/{path.format(name)}"
    assert refusal(admin.request(method, url, json=body)) == NOT_FOUND


def test_people_and_clients_are_separate(
    admin: httpx.Client, person: Person, device: Device
) -> None:
    for url in (f"{CLIENTS}/{person.name}", f"{USERS}/{device.name}"):
        assert refusal(admin.delete(url)) == NOT_FOUND
        assert refusal(admin.patch(url, json={"disabled": True})) == NOT_FOUND
    assert refusal(admin.post(f"{CLIENTS}/{person.name}/secret")) == NOT_FOUND
    change = {"password": SECRET}
    assert refusal(admin.put(f"{USERS}/{device.name}/password", json=change)) == NOT_FOUND
    assert person.sign_in()
    assert device.sign_in()


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "/body"),
    "not JSON": (b"{", "/body"),
    "null": (b"null", "/body"),
    "a list": (b"[]", "/body"),
    "deep": (b'{"name":' * 5000, "/body"),
    "deep lists": (b"[" * 60_000, "/body"),
    "not UTF-8": (b'{"name":"\xff","password":"hunter2 hunter2"}', "/body"),
    "a lone surrogate": (b'{"name":"\\ud800","password":"hunter2 hunter2"}', "/body"),
    "a surrogate password": (b'{"name":"a","password":"hunter2 \\udfff"}', "/body"),
    "a huge number": (b'{"name":1' + b"0" * 5000 + b"}", "/body"),
    "NaN": (b'{"name":NaN,"password":"hunter2 hunter2"}', "/body/name"),
    "a name of another type": (b'{"name":{"a":1},"password":"hunter2 hunter2"}', "/body/name"),
    "an empty name": (b'{"name":"","password":"hunter2 hunter2"}', "/body/name"),
    "a name with NUL": (b'{"name":"a\\u0000","password":"hunter2 hunter2"}', "/body/name"),
    "a name with a line end": (b'{"name":"a\\nb","password":"hunter2 hunter2"}', "/body/name"),
    "a name like an issuer's": (b'{"name":"a|b","password":"hunter2 hunter2"}', "/body/name"),
    "a long name": (b'{"name":"' + b"a" * 101 + b'","password":"hunter2 hunter2"}', "/body/name"),
    "no password": (b'{"name":"a"}', "/body/password"),
    "a short password": (b'{"name":"a","password":"hunter2"}', "/body/password"),
    "a long password": (b'{"name":"a","password":"' + b"hunter2" * 200 + b'"}', "/body/password"),
    "a password of another type": (b'{"name":"a","password":["hunter2 hunter2"]}', "/body/password"),
    "an unknown scope": (b'{"name":"a","password":"hunter2 hunter2","scopes":["all"]}', "/body/scopes"),
    "scopes as text": (b'{"name":"a","password":"hunter2 hunter2","scopes":"admin"}', "/body/scopes"),
    "many scopes": (b'{"name":"a","password":"hunter2 hunter2","scopes":[' + b'"admin",' * 50 + b'"admin"]}', "/body/scopes"),
    "a model with a blank": (b'{"name":"a","password":"hunter2 hunter2","models":["a b"]}', "/body/models/0"),
    "a model with NUL": (b'{"name":"a","password":"hunter2 hunter2","models":["a\\u0000"]}', "/body/models/0"),
    "a model with a separator": (b'{"name":"a","password":"hunter2 hunter2","models":["a\\u001cb"]}', "/body/models/0"),
    "an unknown member": (b'{"name":"a","password":"hunter2 hunter2","admin":true}', "/body/admin"),
    "a password as a member": (b'{"name":"a","hunter2 hunter2":1}', "/body/password"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "pointer"), WRONG.values(), ids=WRONG)
def test_invalid_body_is_refused_without_repeating_it(
    server: LiveServer, admin: httpx.Client, body: bytes, pointer: str
) -> None:
    answer = admin.post(USERS, content=body, headers={"content-type": "application/json"})
    assert refusal(answer) == (422, "invalid_parameter")
    faults = problem_of(answer)["errors"]
    assert pointer in [fault["pointer"] for fault in faults]
    assert not [fault for fault in faults if "hunter2" in fault["detail"]]
    assert '"password":' not in server.events()
    assert '"name":"a"' not in admin.get(USERS).text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{USERS}/admin", {"disabled": "perhaps"}),
        ("PATCH", f"{USERS}/admin", {"disabled": 0}),
        ("PATCH", f"{USERS}/admin", {"disabled": "false"}),
        ("PATCH", f"{USERS}/admin", {"scopes": ["everything"]}),
        ("PATCH", f"{USERS}/admin", {"password": SECRET}),
        ("PATCH", f"{CLIENTS}/nobody", []),
        ("PUT", f"{USERS}/admin/password", {"password": "short"}),
        ("PUT", f"{USERS}/admin/password", {}),
        ("POST", CLIENTS, {"name": "a", "introspect": "perhaps"}),
        ("POST", CLIENTS, {"name": "a", "models": ["m" * 60] * 100}),
        ("POST", CLIENTS, {"name": "a", "models": [f"{n:060}" for n in range(100)]}),
        ("POST", CLIENTS, {"name": "a", "secret": SECRET}),
    ],
    ids=str,
)
def test_every_body_is_validated(admin: httpx.Client, method: str, path: str, body: object) -> None:
    answer = admin.request(method, path, json=body)
    if answer.status_code == 201:  # a hundred equal entries count once
        assert admin.delete(f"{CLIENTS}/a").status_code == 204
    else:
        assert refusal(answer) == (422, "invalid_parameter")
        assert "hunter2" not in answer.text


def test_non_json_or_large_body_is_refused(admin: httpx.Client) -> None:
    body = json.dumps({"name": "a", "password": SECRET}).encode()
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")
    for kind in kinds:
        answer = admin.post(USERS, content=body, headers={"content-type": kind})
        assert refusal(answer) == (415, "unsupported_media_type")
    headers = {"content-type": "application/json"}
    squeezed = admin.post(USERS, content=body, headers=headers | {"content-encoding": "gzip"})
    assert refusal(squeezed) == (415, "unsupported_media_type")
    large = body + b" " * 100_000
    for content in (large, iter([large])):
        answer = admin.post(USERS, content=content, headers=headers)
        assert refusal(answer) == (413, "payload_too_large")
    answer = admin.get(USERS, headers={"accept": "text/html"})
    assert refusal(answer) == (406, "not_acceptable")


ROUTES = [
    ("GET", USERS), ("POST", USERS), ("PATCH", f"{USERS}/admin"), ("DELETE", f"{USERS}/admin"),
    ("PUT", f"{USERS}/admin/password"), ("GET", CLIENTS), ("POST", CLIENTS),
    ("PATCH", f"{CLIENTS}/a"), ("DELETE", f"{CLIENTS}/a"), ("POST", f"{CLIENTS}/a/secret"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_missing_admin_scope_is_refused(server: LiveServer, method: str, path: str) -> None:
    others = "classify infer models:read models:write metrics"
    for body in ({"name": "a", "password": SECRET}, b"{", b"x" * 10_000_000):
        kind: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = httpx.request(method, server.url + path, **kind)
        assert refusal(answer) == (401, "unauthenticated")
        headers = bearer(server.token(others))
        answer = httpx.request(method, server.url + path, headers=headers, **kind)
        assert refusal(answer) == (403, "insufficient_scope")
    assert server.token("admin")
