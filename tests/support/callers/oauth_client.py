"""Signs in, refreshes and signs out over HTTP, as an app would."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.servers.server import PASSWORD

PATIENCE = 60


class App:
    """One person's app, or the operator's. What it is answered is the test's to judge."""

    def __init__(self, url: str, name: str = "admin", password: str = PASSWORD) -> None:
        self.url, self.name, self.password = url, name, password

    def sign_in(self, scope: str = "") -> httpx.Response:
        """With the name and the password."""
        return self.ask_token(
            grant_type="password", username=self.name, password=self.password, scope=scope
        )

    def refresh(self, token: str) -> httpx.Response:
        """Trades a refresh token for the next one."""
        return self.ask_token(grant_type="refresh_token", refresh_token=token)

    def revoke(self, token: str) -> httpx.Response:
        """Signs out, or revokes an access token."""
        return self._post("revoke", token=token)

    def ask_token(self, **form: str) -> httpx.Response:
        """A request of the token endpoint."""
        return self._post("token", **form)

    def introspect(self, token: str, client: tuple[str, str]) -> httpx.Response:
        """What ``token`` stands for; ``client`` is the name and the secret of who may ask."""
        return httpx.post(
            f"{self.url}/v1/auth/introspect", data={"token": token}, auth=client, timeout=PATIENCE
        )

    def call(self, method: str, path: str, token: str, **arguments: Any) -> httpx.Response:
        """Any other request, with an access token."""
        return httpx.request(
            method,
            self.url + path,
            headers={"authorization": f"Bearer {token}"},
            timeout=PATIENCE,
            **arguments,
        )

    def _post(self, endpoint: str, **form: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/auth/{endpoint}", data=form, timeout=PATIENCE)
