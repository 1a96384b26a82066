"""Signs in, refreshes and signs out over HTTP, as an app would."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.servers.server import PASSWORD

PATIENCE = 60


class App:
    """An app of a user or operator; tests check the responses."""

    def __init__(self, url: str, name: str = "admin", password: str = PASSWORD) -> None:
        self.url, self.name, self.password = url, name, password

    def sign_in(self, scope: str = "") -> httpx.Response:
        """Sign in with name and password."""
        return self.ask_token(
            grant_type="password", username=self.name, password=self.password, scope=scope
        )

    def refresh(self, token: str) -> httpx.Response:
        """Exchange a refresh token."""
        return self.ask_token(grant_type="refresh_token", refresh_token=token)

    def revoke(self, token: str) -> httpx.Response:
        """Sign out, or revoke an access token."""
        return self._post("revoke", token=token)

    def ask_token(self, **form: str) -> httpx.Response:
        """Send a request to the token endpoint."""
        return self._post("token", **form)

    def introspect(self, token: str, client: tuple[str, str]) -> httpx.Response:
        """Introspect ``token``; ``client``: name and secret of a client with this permission."""
        return httpx.post(
            f"{self.url}/v1/auth/introspect", data={"token": token}, auth=client, timeout=PATIENCE
        )

    def call(self, method: str, path: str, token: str, **arguments: Any) -> httpx.Response:
        """Send another request with an access token."""
        return httpx.request(
            method,
            self.url + path,
            headers={"authorization": f"Bearer {token}"},
            timeout=PATIENCE,
            **arguments,
        )

    def _post(self, endpoint: str, **form: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/auth/{endpoint}", data=form, timeout=PATIENCE)
