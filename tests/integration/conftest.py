"""Fixtures: accounts that call the server under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.callers.accounts import Device, Person, add_device, add_person
from tests.support.servers.drop_in import opened as drop_in_server
from tests.support.servers.model_shop import Shop, opened
from tests.support.servers.server import LiveServer


@pytest.fixture(scope="module")
def admin(server: LiveServer) -> Iterator[httpx.Client]:
    """A signed-in client with the scope ``admin``."""
    with server.client("admin") as client:
        yield client


@pytest.fixture
def person(server: LiveServer) -> Person:
    """A user without a session."""
    return add_person(server)


@pytest.fixture
def device(server: LiveServer) -> Device:
    """A client without a token."""
    return add_device(server)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


@pytest.fixture(scope="session")
def drop_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with every drop-in endpoint, for tests that do not change it."""
    with drop_in_server(tmp_path_factory.mktemp("drop-in")) as live:
        yield live
