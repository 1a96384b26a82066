"""``potoo doctor`` on a real server without an edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes.environment import clean_environment
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.process


def examined(
    server: LiveServer, models: Path, *arguments: str, **environment: str
) -> tuple[int, str]:
    command = [sys.executable, "-m", "service", "doctor", "--data-dir", str(server.data_dir)]
    given = {"POTOO_MODELS": str(models), **environment}
    done = subprocess.run(
        [*command, *arguments],
        env=clean_environment(**given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_sound_server_without_an_edge_has_warnings_only_about_that(
    server: LiveServer, colours: Path
) -> None:
    status, text = examined(server, colours, "--site", server.url, "--json")
    found: list[dict[str, Any]] = json.loads(text)
    bad = {one["check"] for one in found if one["level"] in {"warning", "failed"}}
    assert status == 2
    assert (
        {"closed paths", "certificate"} <= bad <= {"closed paths", "certificate", "disk", "memory"}
    )
    good = {one["check"] for one in found if one["level"] == "ok"}
    assert {"site", "clock", "database", "default model", "data folder", "telemetry"} <= good


def test_broken_settings_are_named_with_the_way_to_mend_them(
    server: LiveServer, colours: Path, tmp_path: Path
) -> None:
    status, text = examined(
        server,
        colours,
        *("--site", "http://127.0.0.1:1", "--backups", str(tmp_path)),
        POTOO_TRUSTED_PROXIES='["0.0.0.0/1"]',
        POTOO_DEFAULT_MODEL="missing",
        POTOO_DATABASE_URL="postgresql://potoo:a-secret@127.0.0.1:1/potoo",
    )
    assert status == 2
    lines = text.splitlines()
    for check in ("site", "trusted proxies", "default model", "database", "backup"):
        (at,) = [n for n, line in enumerate(lines) if line.startswith(f"failed   {check} ")]
        assert "-> " in lines[at + 1]
    assert "a-secret" not in text
    assert "\x1b" not in text
    assert os.linesep in text
