"""Fixtures of the system tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.callers.accounts import Person, add_person
from tests.support.callers.wire import Wire
from tests.support.servers.browser import open_browser
from tests.support.servers.server import LiveServer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium per test file; every visit has its own profile.

    Not per session: while Playwright is open, no other test can run an event loop.
    """
    with open_browser() as chromium:
        yield chromium


@pytest.fixture
def person(server: LiveServer) -> Person:
    """A user without a session."""
    return add_person(server)


@pytest.fixture
def wire() -> Wire:
    """A recorder for ``signed_in``."""
    return Wire()
