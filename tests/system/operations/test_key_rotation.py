"""``potoo keys`` with two running replicas that share a folder of keys."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from jose import jwt

from auth.keys import ACTIVATION_SECONDS
from tests.support.callers.oauth_client import App
from tests.support.processes.environment import clean_environment
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import LiveServer, serve_together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KEYS_SEEN_WITHIN = 20.0


def keys_command(data_dir: Path, *arguments: str) -> str:
    """Run ``potoo keys``; return the id of the first key in the output."""
    command = [sys.executable, "-m", "service", "keys", *arguments, "--data-dir", str(data_dir)]
    run = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, check=True
    )
    return run.stdout.split("\t")[0]


def published(server: LiveServer) -> list[str]:
    """Ids of the keys that a server publishes."""
    return [key["kid"] for key in httpx.get(f"{server.url}/.well-known/jwks.json").json()["keys"]]


def test_replicas_rotate_keys_of_a_shared_folder(
    tmp_path: Path, colours: Path, postgres: str
) -> None:
    folders, shared = [tmp_path / "one", tmp_path / "other"], tmp_path / "keys"
    shared.mkdir(mode=0o700)
    for folder in folders:
        (folder / "data").mkdir(parents=True, mode=0o700)
        (folder / "data" / "keys").symlink_to(shared)
    old = keys_command(folders[0] / "data", "rotate")
    with fresh_database(postgres) as database, ExitStack() as stack:
        servers = serve_together(stack, folders, models=colours, POTOO_DATABASE_URL=database)
        apps = [App(server.url) for server in servers]
        before = apps[0].sign_in().json()["access_token"]
        assert [published(server) for server in servers] == [[old], [old]]

        new = keys_command(folders[0] / "data", "rotate")
        # Set an older creation time: replicas use it at once, though not at the same time.
        ripe = time.time() - ACTIVATION_SECONDS - 1
        (key_file,) = shared.glob(f"{new}.*")
        os.utime(key_file, (ripe, ripe))
        os.utime(shared / f"{old}.pem", (ripe - 60, ripe - 60))

        def signs(app: App, kid: str) -> bool:
            made = app.sign_in().json()["access_token"]
            return bool(jwt.get_unverified_header(made)["kid"] == kid)

        for app in apps:
            assert wait_until(lambda: signs(app, new), patience=KEYS_SEEN_WITHIN, pause=0.2)  # noqa: B023 - used at once
        after = apps[0].sign_in().json()["access_token"]
        for app in apps:
            assert app.call("GET", "/v1/models", before).status_code == 200
            assert app.call("GET", "/v1/models", after).status_code == 200

        keys_command(folders[1] / "data", "retire", old, "--force")
        for app, server in zip(apps, servers, strict=True):
            assert wait_until(lambda: published(server) == [new], patience=KEYS_SEEN_WITHIN)  # noqa: B023 - used at once
            assert app.call("GET", "/v1/models", before).status_code == 401
            assert app.call("GET", "/v1/models", after).status_code == 200
