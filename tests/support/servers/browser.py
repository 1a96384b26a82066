"""A real browser for the system tests; records errors that pages must never cause."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    FilePayload,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

from tests.support.servers.server import PASSWORD

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 30_000
# Chromium logs a line for every response of 400 and above, and for aborted requests.
CHROMIUMS_OWN = "Failed to load resource: "

expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def open_browser(arguments: Sequence[str] = ARGUMENTS) -> Iterator[Browser]:
    """Open Chromium; without it skip the test, or fail if it is required."""
    if not CHROMIUM.exists():
        message = f"there is no {CHROMIUM}"
        if os.environ.get("REQUIRE_SYSTEM_TESTS"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments])
        yield browser
        browser.close()


class RpcHandler:
    """Holds a page's requests until they are released."""

    def __init__(self) -> None:
        self.waiting: list[Route] = []
        self._is_open = False

    def arrive(self, route: Route) -> None:
        """Add a request."""
        if self._is_open:
            route.continue_()
        else:
            self.waiting.append(route)

    def let_one_through(self) -> None:
        """Release the first request."""
        self.waiting.pop(0).continue_()

    def open(self) -> None:
        """Release all present and future requests."""
        self._is_open = True
        while self.waiting:
            self.let_one_through()


@dataclass
class Visit:
    """One page in a fresh profile. Records errors that a correct page never causes."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("console", lambda line: self._on_console(line.type, line.text))
        self.page.on("request", self._on_request)
        self.page.on("response", self._on_response)
        # Playwright intercepts file choosers only with a listener. If a test added the first one, a
        # key press could come before it.
        self.page.on("filechooser", lambda _: None)

    def _on_console(self, kind: str, text: str) -> None:
        """Record errors, including violations of the Content-Security-Policy."""
        if kind in {"error", "warning"} and not text.startswith(CHROMIUMS_OWN):
            self.faults.append(f"console: {text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", f"blob:{self.url}/", "data:")):
            self.faults.append(f"request to another origin: {request.url}")

    def _on_response(self, response: Response) -> None:
        path = response.url.removeprefix(self.url)
        if response.status >= 400 and not path.startswith("/v1/"):
            self.faults.append(f"{response.status} for {path}")

    def hold(self, pattern: str = "**/v1/classify*") -> RpcHandler:
        """Hold requests to this URL from now on."""
        gate = RpcHandler()
        self.page.route(pattern, gate.arrive)
        return gate

    def sign_in(self, name: str = "admin", password: str = PASSWORD) -> None:
        """Sign in with the form."""
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def show(self, *photos: FilePayload) -> None:
        """Choose photos."""
        self.page.locator("#files").set_input_files(photos)

    def card(self, name: str) -> Locator:
        """The card of the photo with this name."""
        name_shown = self.page.get_by_role("heading", name=name, exact=True)
        return self.page.locator(".card").filter(has=name_shown)


@contextmanager
def visit(browser: Browser, url: str, **profile: Any) -> Iterator[Visit]:
    """Open the page at ``url``; fail if it caused errors.

    Args:
        profile: what ``Browser.new_context`` takes, such as ``viewport``.
    """
    context = browser.new_context(**profile)
    try:
        visited = Visit(context.new_page(), url)
        visited.page.goto(url)
        yield visited
        assert not visited.faults, "\n".join(visited.faults)
    finally:
        context.close()


def photo(name: str, content: bytes, media_type: str = "image/png") -> FilePayload:
    """A file to choose on a page."""
    return {"name": name, "mimeType": media_type, "buffer": content}
