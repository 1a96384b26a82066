"""What the system tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import open_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all; every visit has a profile of its own."""
    with open_browser() as chromium:
        yield chromium
