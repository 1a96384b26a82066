"""Starts that fail: one line that names the fault, and no partial changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers.server import serve


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that must not start, to its end."""
    command = [sys.executable, "-m", "service", "serve", "--data-dir", str(folder / "data")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POTOO_")}
    return subprocess.run(
        [*command, *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Its exit status and standard error."""
    run = start(folder, *arguments, **environment)
    assert "ready" not in run.stdout
    assert "Traceback" not in run.stderr
    # The security log has the first account, even if the start fails later.
    lines = [line for line in run.stderr.splitlines() if '"logger":"audit"' not in line]
    return run.returncode, "\n".join(lines)


@pytest.mark.parametrize("fault", ["no models", "a port in use"])
def test_a_start_that_fails_does_not_swallow_the_first_password(
    tmp_path: Path, colours: Path, fault: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if fault == "a port in use" else "0"
        models = str(tmp_path / "none") if fault == "no models" else str(colours)
        run = start(tmp_path, "--port", port, "--models", models)
    assert run.returncode == 1
    shown = re.search(r"password: +(\S+)", run.stdout)
    assert shown
    with serve(tmp_path, models=colours, POTOO_ADMIN_PASSWORD="") as server:
        form = {"grant_type": "password", "username": "admin", "password": shown[1]}
        assert httpx.post(f"{server.url}/v1/auth/token", data=form).status_code == 200


def test_a_port_in_use_is_one_line(tmp_path: Path, colours: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, text = refused(tmp_path, "--port", str(port), "--models", str(colours))
    assert status == 1
    (line,) = text.splitlines()
    assert str(port) in line
    assert "in use" in line


def change(**members: Any) -> Callable[[Path], None]:
    """Changes the manifest of a model."""

    def apply(folder: Path) -> None:
        file = folder / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | members))

    return apply


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another graph": (lambda folder: (folder / "model.onnx").write_text("a"), "sha256"),
    "a misspelt member": (change(lables=["a"]), "lables"),
    "too few labels": (change(labels=["red", "green"]), "labels"),
    "another output": (change(output={"name": "scores", "kind": "logits"}), "output.name"),
}


@pytest.mark.parametrize(("break_it", "field"), BROKEN.values(), ids=BROKEN)
def test_a_broken_model_is_one_line_that_names_the_field(
    tmp_path: Path, colours: Path, break_it: Callable[[Path], object], field: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(colours, models)
    break_it(models / "colours" / "1")
    status, text = refused(tmp_path, "--port", "0", "--models", str(models))
    assert status != 0
    (line,) = text.splitlines()
    assert field in line
    assert "colours" in line


def test_several_workers_with_a_broken_model_never_say_that_they_are_ready(
    tmp_path: Path, colours: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(colours, models)
    change(labels=["red"])(models / "colours" / "1")
    status, _ = refused(tmp_path, "--port", "0", "--models", str(models), "--workers", "2")
    assert status != 0


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"POTOO_PROT": "1"}, "POTOO_PROT (did you mean POTOO_PORT?)"),
        ({"POTOO_LIMITS__MAX_PIXEL": "1"}, "did you mean POTOO_LIMITS__MAX_PIXELS?"),
        ({"POTOO_LIMITS__MAX_PIXELS": "many"}, "limits.max_pixels"),
        ({"POTOO_WORKERS": "0"}, "workers"),
        ({"POTOO_CONFIG": "nowhere.toml"}, "nowhere.toml"),
        ({"POTOO_DATABASE_URL": "mysql://root:hunter2@localhost/potoo"}, "database_url"),
        ({"POTOO_DATABASE_URL": "postgresql://root:hunter2@127.0.0.1:1/potoo"}, "database_url"),
        ({"POTOO_DATABASE_URL": "hunter2"}, "database_url"),
        ({"POTOO_ADMIN_PASSWORD": "hunter2"}, "admin_password"),
        ({"POTOO_CORS_ORIGINS": '["*"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": '["https://*.example"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": '["https://app.example/"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": "https://app.example"}, "write lists as JSON"),
        ({"POTOO_DOCS": "closed"}, "docs"),
        ({"POTOO_METRICS": "hidden"}, "metrics"),
        ({"POTOO_AUTH__RATE_PER_ADDRESS": "often"}, "auth.rate_per_address"),
        ({"POTOO_AUTH__ALGORITHM": "none"}, "auth.algorithm"),
        ({"POTOO_AUTH__ACCESS_TOKEN_SECONDS": "0"}, "auth.access_token_seconds"),
        ({"POTOO_AUTH__SIGNING_KEY": "hunter2"}, "auth.signing_key"),
        ({"POTOO_AUTH__SIGNING_KEY_FILE": "nowhere.pem"}, "nowhere.pem"),
        ({"POTOO_AUTH__RATE_STORE": "hunter2"}, "auth.rate_store"),
        ({"POTOO_AUTH__RATE_STORE": "redis://:hunter2@127.0.0.1:port/0"}, "auth.rate_store"),
        ({"POTOO_AUTH__ISSUERS": "hunter2"}, "write lists as JSON"),
        (
            {"POTOO_AUTH__ISSUERS": '[{"name":"a","issuer":"http://a.example","audience":["a"]}]'},
            "auth.issuers.0.issuer",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_one_line_that_names_it(
    tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    status, text = refused(tmp_path, "--port", "0", **environment)
    assert status == 1
    (line,) = text.splitlines()
    assert named in line
    assert "hunter2" not in line
