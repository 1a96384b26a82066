"""Several replicas with PostgreSQL, Redis and a trusted issuer; each component can fail."""

from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from auth.keys import make_private
from tests.support.callers.oauth_client import App
from tests.support.proxies.envoy import Address, Envoy, envoy
from tests.support.servers.databases import (
    free_port,
    postgres_folder,
    postgres_server,
    redis_server,
)
from tests.support.servers.issuer import Issuer, issuer_process
from tests.support.servers.server import LiveServer, serve

REPLICAS = 3
DRAIN_DELAY_SECONDS = 3
"""Time for the balancer to detect a stopping replica; Envoy checks every second."""
READY_SECONDS = 120
SCOPES = "classify infer models:read"
MANY = "1000000/hour"
"""A limit counted in Redis that is never reached."""


@dataclass
class Part:
    """A component that can be stopped and restarted. ``open`` runs it."""

    open: Callable[[], AbstractContextManager[object]]
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.running.enter_context(self.open())

    def stop(self) -> None:
        self.running.close()


@dataclass
class Replica:
    """One server, whose ports and folder stay the same after restarts."""

    folder: Path
    models: Path
    environment: dict[str, str]
    http: Address = field(default_factory=lambda: ("127.0.0.1", free_port()))
    grpc: Address = field(default_factory=lambda: ("127.0.0.1", free_port()))
    lives: ExitStack = field(default_factory=ExitStack)
    live: LiveServer | None = None

    @property
    def server(self) -> LiveServer:
        """The running process."""
        assert self.live, "it does not run"
        return self.live

    def start(self) -> None:
        """Wait until it is ready."""
        ports = {"POTOO_GRPC_PORT": str(self.grpc[1])}
        server = serve(
            self.folder,
            models=self.models,
            arguments=("--port", str(self.http[1])),
            **self.environment,
            **ports,
        )
        self.live = self.lives.enter_context(server)

    def stop(self) -> None:
        """Send SIGTERM; it ends once accepted requests are answered."""
        self.lives.close()

    def kill(self) -> None:
        """Send SIGKILL; connections are not closed first."""
        self.server.process.kill()
        self.server.process.wait()
        self.lives.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it accept connections but not respond, like a machine that swaps."""
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.process.send_signal(signal.SIGCONT)

    @contextmanager
    def without_disk(self) -> Iterator[None]:
        """Let every write to a file fail, also to its log: set the limit of file sizes to 0.

        Unlike a full file system, this limit does not need root.
        """
        pid = self.server.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))

    def is_ready(self) -> bool:
        """Whether it reports ready."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.server.url}/readyz", timeout=5).is_success
        return False


@dataclass
class Fleet:
    """The replicas and what they share."""

    replicas: list[Replica]
    postgres: Part
    redis: Part
    issuer: Issuer

    def token(self) -> str:
        """An access token that every replica accepts."""
        answer = App(self.replicas[0].server.url).sign_in(SCOPES)
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def foreign_token(self) -> str:
        """An access token of the trusted issuer."""
        return self.issuer.token()

    def until_ready(self) -> None:
        """Wait until all replicas are ready."""
        deadline = time.monotonic() + READY_SECONDS
        while not all(replica.is_ready() for replica in self.replicas):
            assert time.monotonic() < deadline, "a replica does not get ready"
            time.sleep(0.1)


@contextmanager
def fleet(models: Path, **environment: str) -> Iterator[Fleet]:
    """Start all components; three replicas at the same time.

    Args:
        environment: settings of all replicas.
    """
    with ExitStack() as stack:
        store = stack.enter_context(postgres_folder())
        port, redis_port = free_port(), free_port()
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="potoo-fleet-")))
        postgres = Part(lambda: postgres_server(store, port))
        redis = Part(lambda: redis_server(folder, redis_port))
        for part in (postgres, redis):
            part.start()
            stack.callback(part.stop)
        issuer = stack.enter_context(issuer_process())
        shared = {
            "POTOO_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/postgres",
            "POTOO_AUTH__RATE_STORE": f"redis://127.0.0.1:{redis_port}/0",
            "POTOO_AUTH__RATE_PER_PRINCIPAL": MANY,
            "POTOO_AUTH__SIGNING_KEY": make_private("ES256"),
            "POTOO_TRUSTED_PROXIES": '["127.0.0.1"]',
            "POTOO_DRAIN_DELAY_SECONDS": str(DRAIN_DELAY_SECONDS),
            "POTOO_AUTH__FAILURES_FREE": "0",
            "POTOO_AUTH__SESSIONS_PER_ACCOUNT": "10000",
            "POTOO_AUTH__ISSUERS": _trusting(issuer),
            **environment,
        }
        replicas = [_replica(folder / str(number), models, shared) for number in range(REPLICAS)]
        stack.callback(_all, Replica.stop, replicas)
        _all(Replica.start, replicas)
        yield Fleet(replicas, postgres, redis, issuer)


@contextmanager
def balanced(models: Path, **environment: str) -> Iterator[tuple[Fleet, Envoy]]:
    """A fleet with Envoy in front."""
    with fleet(models, **environment) as behind:
        http = [replica.http for replica in behind.replicas]
        grpc = [replica.grpc for replica in behind.replicas]
        with envoy(http, grpc) as edge:
            yield behind, edge


def _all(act: Callable[[Replica], None], replicas: list[Replica]) -> None:
    """Start them at the same time."""
    with ThreadPoolExecutor(len(replicas)) as threads:
        list(threads.map(act, replicas))


def _replica(folder: Path, models: Path, environment: dict[str, str]) -> Replica:
    folder.mkdir()
    return Replica(folder, models, environment)


def _trusting(issuer: Issuer) -> str:
    settings = {
        "name": "sso",
        "issuer": issuer.url,
        "audience": ["potoo"],
        "scopes": {"pictures": SCOPES.split()},
        "refresh_seconds": 1,
    }
    return json.dumps([settings])
