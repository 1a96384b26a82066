"""Redis with the configuration that `make prepare` writes, and its compose health check."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.deploy.compose_files import services
from tests.support.servers.databases import free_port, missing
from tests.support.waiting import wait_until
from tools.prepare import main as prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    prepare(["--site", "a.example", "--stores", "--folder", str(folder)])
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """The port on 127.0.0.1 of a Redis that runs as in compose."""
    if not shutil.which("redis-server"):
        missing("redis-server")
    port = free_port()
    command = services()["redis"]["command"]
    here = [word.replace("/run/secrets", str(folder / "secrets" / "redis")) for word in command]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen([*here, *options], stdout=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: is_healthy(port))
        yield port
    finally:
        process.kill()
        process.wait(60)


def is_healthy(port: int) -> bool:
    """Run compose's health check at that port."""
    (_, check) = services()["redis"]["healthcheck"]["test"]
    command = check.replace("redis-cli", f"redis-cli -p {port}")
    return subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_redis_accepts_the_prepared_password(folder: Path, port: int) -> None:
    url = (folder / "secrets/potoo/potoo_auth__rate_store").read_text().strip()
    with redis.Redis.from_url(url.replace("@redis:6379", f"@127.0.0.1:{port}")) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}


def test_redis_refuses_unauthenticated_clients(port: int) -> None:
    with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_missing_redis_is_unhealthy() -> None:
    assert not is_healthy(free_port())
