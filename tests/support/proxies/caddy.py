"""The shipped Caddyfile, run by a real Caddy on free ports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.callers.raw_http import PATIENCE, Answer
from tests.support.processes.environment import clean_environment
from tests.support.proxies.tls import Edge
from tests.support.servers.databases import free_port, missing

CADDYFILE = Path(__file__).parents[3] / "deploy/caddy/Caddyfile"
LITTLE_PATIENCE = 3
"""Seconds that replace the shipped time-outs in tests."""
NOWHERE = "127.0.0.1:1"
"""An address without a listener."""


def programs() -> list[str]:
    """All installed Caddy programs: Debian's, and a newer one beside Python."""
    beside = Path(sys.executable).parent / "caddy"
    return [path for path in (shutil.which("caddy"), shutil.which(beside)) if path] or [""]


@dataclass(frozen=True, slots=True)
class Caddy:
    """A running Caddy.

    Attributes:
        edge: its port for TLS.
        port: for plain HTTP.
        metrics_port: for its own metrics.
    """

    program: str
    edge: Edge
    port: int
    metrics_port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def log(self) -> Path:
        """Caddy's own log, with errors."""
        return self.folder / "caddy.log"

    def logged(self, path: str) -> dict[str, Any]:
        """Wait for the access log's line of a path."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.access_log.exists():
                for line in self.access_log.read_text().splitlines():
                    entry: dict[str, Any] = json.loads(line)
                    if entry["request"]["uri"] == path:
                        return entry
            assert time.monotonic() < deadline, f"nothing about {path}"
            time.sleep(0.02)


@contextmanager
def caddy(
    folder: Path,
    program: str,
    *,
    upstream: str = NOWHERE,
    grpc: str = NOWHERE,
    ca: Path | None = None,
    **environment: str,
) -> Iterator[Caddy]:
    """Run Caddy with the shipped file.

    Args:
        folder: an empty one for its files.
        upstream, grpc: host and port of the servers behind it.
        ca: issuer of its certificate; None for Caddy's own authority.
        environment: more variables that the file reads.
    """
    if not program:
        missing("caddy")
    port, secure, metrics = free_port(), free_port(), free_port()
    settings = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "POTOO_HTTP_PORT": str(port),
        "POTOO_HTTPS_PORT": str(secure),
        "POTOO_CADDY_METRICS_PORT": str(metrics),
        "POTOO_UPSTREAM": upstream,
        "POTOO_GRPC_UPSTREAM": grpc,
        "POTOO_ACCESS_LOG": f"file {folder / 'access.log'}",
    }
    command = [program, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    log = folder / "caddy.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=clean_environment(**settings, **environment)
        )
    own = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    edge = Edge(("127.0.0.1", secure), ca or own)
    try:
        _until_it_shakes_hands(edge, process, log)
        yield Caddy(program, edge, port, metrics, folder, process)
    finally:
        # Kill it: a graceful stop would wait for open streams of a test.
        process.kill()
        process.wait(PATIENCE)


def check_problem(answer: Answer, status: int, code: str) -> None:
    """Check a problem of the proxy like Potoo's own, with the proxy's headers."""
    assert (answer.status, answer.problem["code"]) == (status, code)
    assert answer.problem["type"] == "about:blank"
    assert answer.problem["title"]
    assert answer.problem["detail"].endswith(".")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["cache-control"] == "no-store"


def adapted(program: str, **environment: str) -> dict[str, Any]:
    """The shipped file as JSON adapted by Caddy."""
    if not program:
        missing("caddy")
    command = [program, "adapt", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    done = subprocess.run(
        command, check=True, capture_output=True, env=os.environ | environment, timeout=PATIENCE
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _until_it_shakes_hands(edge: Edge, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError), edge.connect():
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
