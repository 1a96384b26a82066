"""systemd: notifications of the server, and verification of the units."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from shlex import split

import httpx
import pytest

from service.settings import Settings, describe_settings
from tests.support.repository import ROOT
from tests.support.servers.databases import missing
from tests.support.servers.server import serve

PATIENCE = 60


# Readiness


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_is_notified_once_the_server_is_ready(
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


def test_missing_notify_socket_does_not_prevent_the_start(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours, NOTIFY_SOCKET=str(tmp_path / "gone")) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert "cannot notify systemd" in server.events()


# The units


UNITS = ROOT / "deploy" / "systemd"
SETTINGS = {variable for _, variable, _, _ in describe_settings(Settings.model_construct())}


def values(key: str) -> list[str]:
    """Values of all lines with this key in the service's unit."""
    return re.findall(rf"^{key}=(.+)$", (UNITS / "potoo.service").read_text(), re.MULTILINE)


def analysed(tmp_path: Path, *verb: str, units: str = "potoo*") -> str:
    """Output of systemd-analyze for the units, with the tested potoo in place of /opt's."""
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze")
    for file in UNITS.iterdir():
        here = str(Path(sys.executable).parent / "potoo")
        (tmp_path / file.name).write_text(file.read_text().replace("/opt/potoo/bin/potoo", here))
    done = subprocess.run(
        ["systemd-analyze", *verb, *sorted(tmp_path.glob(units))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    assert analysed(tmp_path, "verify", "--man=no").strip() == ""


def test_services_have_a_low_systemd_exposure(tmp_path: Path) -> None:
    # 10 is the worst; systemd calls up to 2 "ok". More than 1.5 means that a line is missing.
    services = "potoo*.service"
    said = analysed(tmp_path, "security", "--offline=yes", "--threshold=15", units=services)
    assert "Overall exposure level for potoo.service" in said
    assert "Overall exposure level for potoo-certs.service" in said
    assert "Overall exposure level for potoo-backup.service" in said


def test_restart_limit_stops_a_crash_loop() -> None:
    assert values("Restart") == ["on-failure"]
    (tries,), (within,), (between,) = map(
        values, ("StartLimitBurst", "StartLimitIntervalSec", "RestartSec")
    )
    assert int(tries) * int(between) < int(within)


def test_stop_timeout_covers_the_drain() -> None:
    (seconds,) = values("TimeoutStopSec")
    assert float(seconds) > Settings().drain_seconds + 5


def test_unit_settings_exist_in_potoo() -> None:
    words = [word for line in values("Environment") for word in split(line)]
    given = dict(word.split("=", 1) for word in words)
    assert given.keys() <= SETTINGS | {"POTOO_SECRETS_DIR"}
    assert given["POTOO_SECRETS_DIR"] == "%d"
    # systemd names each file of the folder by this and its own name.
    assert values("LoadCredential")[0].startswith("potoo:/")
