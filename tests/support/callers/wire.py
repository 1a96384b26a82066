"""Records the requests and responses of a web page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Browser, Request, Response, expect

from tests.support.callers.accounts import Person, bearer
from tests.support.models.pictures import RED, plain
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer


@dataclass
class Wire:
    """Recorded requests and responses of a page, and the tokens in them."""

    requests: list[Request] = field(default_factory=list)
    issued: list[Response] = field(default_factory=list)
    refused: list[Response] = field(default_factory=list)
    """Answers of 401 to photos."""

    def on_request(self, request: Request) -> None:
        self.requests.append(request)

    def on_response(self, response: Response) -> None:
        if response.url.endswith(("/page/sign-in", "/page/refresh")) and response.status == 200:
            self.issued.append(response)
        if "/v1/classify" in response.url and response.status == 401:
            self.refused.append(response)

    @property
    def tokens(self) -> dict[str, Any]:
        """The last response to a token request, and the refresh token of its cookie."""
        answer: dict[str, Any] = self.issued[-1].json()
        return answer | {
            "refresh_token": refresh_token_of(self.issued[-1].header_value("set-cookie"))
        }

    @property
    def refreshes(self) -> list[str]:
        """Refresh tokens that the browser sent for the page."""
        sent = [one for one in self.requests if one.url.endswith("/v1/auth/page/refresh")]
        cookies = [request.header_value("cookie") for request in sent]
        return [refresh_token_of(cookie) for cookie in cookies if cookie]


def refresh_token_of(cookie: str | None) -> str:
    """The refresh token in a ``Cookie`` or ``Set-Cookie`` header."""
    found = re.search(r"potoo_session\w*=(prt_[\w-]+)", cookie or "")
    assert found, "no refresh token"
    return found[1]


@contextmanager
def signed_in(
    browser: Browser, person: Person, wire: Wire | None = None, **profile: Any
) -> Iterator[Visit]:
    """A signed-in page with recorded traffic.

    Args:
        profile: what ``Browser.new_context`` takes, such as ``user_agent``.
    """
    with visit(browser, person.server.url, **profile) as visited:
        if wire is not None:
            visited.page.on("request", wire.on_request)
            visited.page.on("response", wire.on_response)
        visited.sign_in(person.name, person.password)
        expect(visited.page.locator("#workspace")).to_be_visible()
        yield visited


def devices_of(person: Person) -> int:
    """Number of the user's sessions, without that of this request."""
    issued = person.sign_in()
    url, headers = f"{person.server.url}/v1/auth/sessions", bearer(issued["access_token"])
    listed = httpx.get(url, headers=headers).raise_for_status().json()["sessions"]
    revoke(person.server, issued["refresh_token"])
    return sum(not one["current"] for one in listed)


def revoke(server: LiveServer, token: str) -> None:
    """Revoke a token, which needs no other credentials."""
    httpx.post(f"{server.url}/v1/auth/revoke", data={"token": token}).raise_for_status()


def show_and_see(page: Visit, *names: str) -> None:
    """Choose red photos with these names, and wait for their results."""
    page.show(*(photo(name, plain(RED)) for name in names))
    for name in names:
        expect(page.card(name).locator(".label").first).to_have_text("red")
    expect(page.page.locator("#sign-in")).to_be_hidden()
