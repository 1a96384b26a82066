"""Users and clients of a server under test: added and signed in over HTTP."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx

from tests.support.callers.answers import assert_tells_nothing
from tests.support.servers.server import LiveServer

TOKEN_URL = "/v1/auth/token"
SCOPES = ("classify", "models:read")


@dataclass(frozen=True, slots=True)
class Person:
    """A user with a password, created by ``add_person``."""

    server: LiveServer
    name: str
    password: str = "a password of somebody"

    def form(self, **more: str) -> dict[str, str]:
        """Fields of a token request."""
        return {"grant_type": "password", "username": self.name, "password": self.password} | more

    def sign_in(self, **more: str) -> dict[str, Any]:
        """Response to the token request, which must succeed."""
        return got(self.server, self.form(**more))


@dataclass(frozen=True, slots=True)
class Device:
    """A client with a secret, created by ``add_device``."""

    server: LiveServer
    name: str
    secret: str

    @property
    def credentials(self) -> dict[str, str]:
        """Credentials as form fields."""
        return {"client_id": self.name, "client_secret": self.secret}

    def form(self, **more: str) -> dict[str, str]:
        """Fields of a token request."""
        return {"grant_type": "client_credentials"} | self.credentials | more

    def sign_in(self, **more: str) -> dict[str, Any]:
        """Response to the token request, which must succeed."""
        return got(self.server, self.form(**more))


def add_person(server: LiveServer, **members: Any) -> Person:
    """Add a user with a unique name; ``members``: of the request's body."""
    person = Person(server, f"person-{uuid.uuid4().hex[:12]}")
    body = {"name": person.name, "password": person.password, "scopes": SCOPES} | members
    post(server, "/v1/admin/users", body)
    return person


def add_device(server: LiveServer, **members: Any) -> Device:
    """Add a client with a unique name."""
    name = f"device-{uuid.uuid4().hex[:12]}"
    answer = post(server, "/v1/admin/clients", {"name": name, "scopes": SCOPES} | members)
    return Device(server, name, answer["secret"])


def post(server: LiveServer, path: str, body: object) -> dict[str, Any]:
    """Response to the administrator's request, which must succeed."""
    answer = httpx.post(server.url + path, json=body, headers=bearer(server.token("admin")))
    created: dict[str, Any] = answer.raise_for_status().json()
    return created


def got(server: LiveServer, form: dict[str, str]) -> dict[str, Any]:
    """Response to a token request, which must succeed."""
    answer: dict[str, Any] = httpx.post(server.url + TOKEN_URL, data=form).raise_for_status().json()
    return answer


def refreshed(server: LiveServer, token: str, **more: str) -> httpx.Response:
    """Response to a refresh."""
    form = {"grant_type": "refresh_token", "refresh_token": token} | more
    return httpx.post(server.url + TOKEN_URL, data=form)


def holds(server: LiveServer, token: str) -> bool:
    """Whether an access token is accepted."""
    status = httpx.get(f"{server.url}/v1/auth/sessions", headers=bearer(token)).status_code
    assert status in {200, 401}
    return status == 200


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"authorization": f"Bearer {token}"}


def basic(name: str, secret: str) -> dict[str, str]:
    """An HTTP Basic header, form-encoded inside (RFC 6749, section 2.3.1)."""
    text = f"{quote_plus(name)}:{quote_plus(secret)}"
    return {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def oauth_error(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code of an OAuth error response (RFC 6749, section 5.2)."""
    body = answer.json()
    assert set(body) == {"error", "error_description"}, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) >= 1
    assert_tells_nothing(answer)
    return answer.status_code, body["error"]
