"""Fixtures shared by several kinds of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.models.tiny_model import write_model
from tests.support.processes.open_files import closing_files
from tests.support.servers.databases import (
    fresh_database,
    postgres_folder,
    postgres_server,
    redis_server,
)
from tests.support.servers.issuer import Issuer, issuer_process
from tests.support.servers.server import LiveServer, serve
from tests.support.suite.examples import load_profiles

pytest_plugins = ["tests.support.suite.speeds"]
load_profiles()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def _closed_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail at the last test of a file that leaves many descriptors open."""
    with closing_files(request.node.nodeid):
        yield


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with the colour model."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository)
    return repository


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A real server with the colour model, for tests that do not change it."""
    # Tests guess passwords and sign in without limits.
    with serve(
        tmp_path_factory.mktemp("server"),
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_AUTH__FAILURES_FREE="0",
        POTOO_AUTH__SESSIONS_PER_ACCOUNT="10000",
    ) as live:
        yield live


@pytest.fixture(scope="session")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    """A signed-in client that may classify and list models, longer than a token is valid."""
    with server.client() as signed_in:
        own = signed_in.headers["authorization"]

        def renew(request: httpx.Request) -> httpx.Request:
            if request.headers.get("authorization") == own:  # else a test chose another one
                request.headers["authorization"] = f"Bearer {server.token()}"
            return request

        signed_in.auth = renew
        yield signed_in


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server; ``fresh_database`` creates a database on it."""
    with postgres_folder() as folder, postgres_server(folder) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis server."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'potoo.db'}"
    else:
        with fresh_database(request.getfixturevalue("postgres")) as url:
            yield url


@pytest.fixture(scope="session")
def issuer_of_all() -> Iterator[Issuer]:
    with issuer_process() as issuer:
        yield issuer


@pytest.fixture
def issuer(issuer_of_all: Issuer) -> Iterator[Issuer]:
    """A trusted issuer with one new key, which tests may change."""
    issuer_of_all.rotate(keep=False)
    yield issuer_of_all
    issuer_of_all.behave()
