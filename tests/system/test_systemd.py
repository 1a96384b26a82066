"""A box without containers: what systemd is told, and what it says of the units."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.server import serve

PATIENCE = 60


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_is_told_once_requests_are_answered(
    tmp_path: Path, colours: Path, workers: str
) -> None:
    address = f"\0potoo-{tmp_path}"  # abstract: paths of sockets must be short
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(PATIENCE)
        with serve(
            tmp_path,
            models=colours,
            NOTIFY_SOCKET="@" + address[1:],
            POTOO_WORKERS=workers,
        ) as server:
            assert systemd.recv(100) == b"READY=1"
            assert httpx.get(f"{server.url}/healthz").status_code == 200
