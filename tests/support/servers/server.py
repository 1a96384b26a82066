"""Start a real server as a process on a free port."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.support.processes.environment import clean_environment

READY = re.compile(r"Potoo is ready: +(http://\S+)")
GRPC = re.compile(r"gRPC: +(\S+)")
SENSORS = re.compile(r"sensors: +(.+)")
START_SECONDS = 120
PATIENCE = 60
"""Seconds for an answer."""
STOP_SECONDS = 60
"""Seconds for a stop with drain, also on a busy machine."""
PASSWORD = "a password for tests"


@dataclass
class LiveServer:
    """A running server. ``log`` is its standard error."""

    url: str
    process: subprocess.Popen[str]
    data_dir: Path
    banner: str
    log: Path
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port for raw sockets."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def grpc(self) -> str:
        """Host and port for gRPC, if it is enabled."""
        found = GRPC.search(self.banner)
        assert found, self.banner
        return found[1]

    @property
    def sensor_ports(self) -> list[int]:
        """The ports of sensors: the framed one first, if it is on."""
        found = SENSORS.search(self.banner)
        assert found, self.banner
        return [int(url.rpartition(":")[2]) for url in found[1].split(", ")]

    def token(self, scope: str = "classify models:read") -> str:
        """An access token of the first account, by signing in over HTTP."""
        if time.monotonic() > self.tokens.get(scope, ("", 0.0))[1]:
            answer = httpx.post(
                f"{self.url}/v1/auth/token",
                data={
                    "grant_type": "password",
                    "username": "admin",
                    "password": PASSWORD,
                    "scope": scope,
                },
                timeout=PATIENCE,
            )
            body = answer.raise_for_status().json()
            fresh_until = time.monotonic() + body["expires_in"] / 2
            self.tokens[scope] = body["access_token"], fresh_until
        return self.tokens[scope][0]

    def client(self, scope: str = "classify models:read") -> httpx.Client:
        """A signed-in HTTP client."""
        headers = {"authorization": f"Bearer {self.token(scope)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)

    def listens(self) -> bool:
        """Whether new connections are accepted."""
        try:
            socket.create_connection(self.address, START_SECONDS).close()
        except ConnectionError:
            return False
        return True

    def workers(self) -> set[int]:
        """The worker processes that are alive."""
        alive = set()
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # raised for zombies too
                if "spawn_main" in " ".join(child.cmdline()):
                    alive.add(child.pid)
        return alive

    def events(self) -> str:
        """The complete lines of the log so far."""
        text = self.log.read_text()
        return text[: text.rfind("\n") + 1]


@contextmanager
def serve(
    folder: Path,
    python: tuple[str, ...] = (sys.executable,),
    /,
    *,
    models: Path,
    arguments: tuple[str, ...] = (),
    **environment: str,
) -> Iterator[LiveServer]:
    """Start ``potoo serve`` on a free port and stop it with SIGTERM.

    Args:
        folder: for its data and its log.
        python: command that runs Python.
        environment: settings such as ``POTOO_LIMITS__MAX_PIXELS="1000"``.
    """
    log, data_dir = folder / "server.log", folder / "data"
    command = [
        *(*python, "-m", "service", "serve", "--port", "0"),
        *("--models", str(models), "--data-dir", str(data_dir), *arguments),
    ]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=clean_environment(**{"POTOO_ADMIN_PASSWORD": PASSWORD, **environment}),
        )
    assert process.stdout is not None
    banner = ""
    # Kill a hung server, which ends the reading below.
    patience = threading.Timer(START_SECONDS, process.kill)
    patience.start()
    try:
        while not banner.endswith("\n\n") or "ready" not in banner:
            line = process.stdout.readline()
            assert line, f"the server did not start:\n{log.read_text()}"
            banner += line
        patience.cancel()
        found = READY.search(banner)
        assert found, banner
        yield LiveServer(found[1], process, data_dir, banner, log)
    finally:
        patience.cancel()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.stdout.close()


def serve_together(
    stack: ExitStack, folders: list[Path], *, models: Path, **environment: str
) -> list[LiveServer]:
    """Start a server in each folder, all at the same time."""

    def start(folder: Path) -> LiveServer:
        server = serve(folder, models=models, arguments=(), **environment)
        return stack.enter_context(server)

    with ThreadPoolExecutor(len(folders)) as threads:
        return list(threads.map(start, folders))
