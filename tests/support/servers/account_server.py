"""A server with all parts that need the store, and its errors while the store is down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.callers.oauth_client import App
from tests.support.models.pictures import plain
from tests.support.servers.failed_start import failed_start
from tests.support.servers.server import LiveServer, serve

PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class AccountServer:
    """A server with a signed-in person and a client that may introspect."""

    app: App
    tokens: dict[str, str]
    client: tuple[str, str]
    server: LiveServer

    def requests(self) -> dict[str, Callable[[], httpx.Response]]:
        """Calls that need the store."""
        access, refresh = self.tokens["access_token"], self.tokens["refresh_token"]
        name, secret = self.client
        admin = "/v1/admin/users"
        return {
            "sign in": self.app.sign_in,
            "client": lambda: self.app.ask_token(
                grant_type="client_credentials", client_id=name, client_secret=secret
            ),
            "refresh": lambda: self.app.refresh(refresh),
            "revoke refresh": lambda: self.app.revoke(refresh),
            "revoke access": lambda: self.app.revoke(access),
            "introspect": lambda: self.app.introspect(refresh, self.client),
            "sessions": lambda: self.app.call("GET", "/v1/auth/sessions", access),
            "end session": lambda: self.app.call("DELETE", "/v1/auth/sessions/none", access),
            "users": lambda: self.app.call("GET", admin, access),
            "add user": lambda: self.app.call(
                "POST", admin, access, json={"name": "somebody", "password": "a password"}
            ),
            "remove user": lambda: self.app.call("DELETE", f"{admin}/nobody", access),
        }

    def classify(self) -> int:
        """The status of a classification with the token."""
        token, picture = self.tokens["access_token"], {"file": plain()}
        return self.app.call("POST", "/v1/classify", token, files=picture).status_code

    def ready(self) -> httpx.Response:
        return httpx.get(f"{self.app.url}/readyz", timeout=30)


@contextmanager
def open_account_server(folder: Path, models: Path, **environment: str) -> Iterator[AccountServer]:
    with serve(folder, models=models, arguments=(), **environment) as server:
        app = App(server.url)
        tokens = app.sign_in().raise_for_status().json()
        added = app.call(
            "POST",
            "/v1/admin/clients",
            tokens["access_token"],
            json={"name": "gateway", "introspect": True},
        )
        yield AccountServer(
            app, tokens, ("gateway", added.raise_for_status().json()["secret"]), server
        )


def is_refused_for_now(answer: httpx.Response) -> bool:
    """Check for 503 instead of an OAuth error (RFC 7009, section 2.2.1)."""
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == PROBLEM
        and answer.headers["cache-control"] == "no-store"
        and int(answer.headers["retry-after"]) > 0
        and answer.json()["code"] == "not_ready"
    )


def refused_start(folder: Path, models: Path, **environment: str) -> str:
    """Start a server that must fail; return the line that it prints."""
    run = failed_start(folder, "--port", "0", "--models", str(models), **environment)
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    return line
