"""The comparison with other servers, with the one peer that is installed here."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import servers
from benchmarks.peers.comparison import POTOO, SMOKE, Compared, compare
from benchmarks.peers.environments import NotInstalled
from benchmarks.support import models, photo

BY_PACKAGE = {peer.package: peer for peer in servers.PEERS}


def install(package: str) -> Path:
    if package != "fastapi":
        message = "no such version"
        raise NotInstalled(message)
    return Path(sys.executable)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_every_cell_of_an_installed_peer_is_measured() -> None:
    plan = replace(SMOKE, clients=(1,))
    peers = [BY_PACKAGE["fastapi"], BY_PACKAGE["mosec"]]
    compared = compare(models.DEFAULT, plan, peers, install)
    assert set(compared.servers) == {POTOO, "FastAPI, textbook", "FastAPI, better"}
    loads = {"1 clients", f"8 clients, {photo.LARGE_TITLE}"}
    assert all(set(found) == loads for found in compared.servers.values())
    assert len(compared.bare) == 4
    assert compared.faults() == ["mosec: does not install: no such version"]


def test_servers_left_out_and_errors_are_faults() -> None:
    good, failing = {"errors": 0.0}, {"errors": 2.0}
    compared = Compared(servers={POTOO: {"1": [good], "8": [good, failing]}})
    compared.failed = {"mosec": "does not start:\nno luck\n"}
    assert compared.faults() == [
        "mosec: no luck",
        "Potoo, 8: 2 errors",
    ]
