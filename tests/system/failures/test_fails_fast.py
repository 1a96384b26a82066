"""Starts that fail, in processes of their own: one of each kind, and several workers.

``tests/unit/cli/test_serve_refusals.py`` has every setting that may be wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.servers.failed_start import failed_start, refusal_of_start
from tests.support.servers.server import serve

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", ["no models", "a port in use"])
def test_failed_start_keeps_the_first_password(tmp_path: Path, colours: Path, fault: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if fault == "a port in use" else "0"
        models = str(tmp_path / "none") if fault == "no models" else str(colours)
        run = failed_start(tmp_path, "--port", port, "--models", models)
    shown = re.search(r"password: +(\S+)", run.stdout)
    assert shown
    with serve(tmp_path, models=colours, POTOO_ADMIN_PASSWORD="") as server:
        form = {"grant_type": "password", "username": "admin", "password": shown[1]}
        assert httpx.post(f"{server.url}/v1/auth/token", data=form).status_code == 200


def test_port_in_use_is_reported_in_one_line(tmp_path: Path, colours: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = refusal_of_start(tmp_path, "--port", str(port), "--models", str(colours))
    assert line.startswith(f"potoo: cannot start: port: cannot listen on 127.0.0.1 port {port}: ")
    assert "in use" in line
    way_out = re.search(r"; try --port (\d+)$", line)
    assert way_out
    with socket.create_server(("127.0.0.1", int(way_out[1]))):
        assert int(way_out[1]) > port


def break_labels(model: Path) -> None:
    file = model / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"labels": ["red"]}))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("named", "spoil"),
    [
        ("labels", lambda models: break_labels(models / "colours" / "1")),
        ("models: ", shutil.rmtree),
    ],
    ids=["broken model", "no models"],
)
def test_workers_without_a_model_are_never_ready(
    tmp_path: Path, colours: Path, workers: str, named: str, spoil: Callable[[Path], None]
) -> None:
    models = shutil.copytree(colours, tmp_path / "models")
    spoil(models)
    (line,) = refusal_of_start(
        tmp_path, "--port", "0", "--models", str(models), "--workers", workers
    )
    assert named in line
