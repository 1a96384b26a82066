"""What the system tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a file of tests; every visit has a profile of its own.

    No longer than that: while Playwright is open, no other test can run an event loop.
    """
    with open_browser() as chromium:
        yield chromium
