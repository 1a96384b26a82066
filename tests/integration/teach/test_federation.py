"""Sites send sums over HTTP, and the head of all of them answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from schemas.federation import FederationBase
from service.federation.computing import site_sums
from service.federation.wire import encode
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.teach.features.extraction import Extractor
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import CLASSES, drawn

EACH, SITES = 10, ("north", "south", "west")
FEDERATIONS = "/v1/federations"
OCTETS = {"content-type": "application/octet-stream"}
SITE_ACCOUNT = "site-account"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", models / "everyday")
    with serve(tmp_path_factory.mktemp("server"), models=models) as live:
        yield live


@pytest.fixture(scope="module")
def owner(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("train classify models:read") as client:
        yield client


def test_it_works(owner: httpx.Client) -> None:
    print(owner.get(FEDERATIONS).text)
