"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import LiveServer, serve
from tests.tiny_model import write_model


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository that holds the colour model."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository)
    return repository


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A real server with the colour model, for tests that leave it as they found it."""
    with serve(tmp_path_factory.mktemp("server"), models=colours) as live:
        yield live


@pytest.fixture(scope="session")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    """Signed in at that server, allowed to classify and to see the models."""
    with server.client() as signed_in:
        yield signed_in
