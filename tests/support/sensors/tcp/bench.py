"""The ports of sensors in this process, with a fake intake and real tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth.principal import Scope
from observability.metrics.metrics import Metrics
from service.runtime.identity import Identity, open_identity
from service.runtime.shutdown import Shutdown
from service.settings import Settings, load_settings
from service.settings.sensors import SensorSettings
from service.transport.tcp.server import serving
from tests.support.sensors.tcp.intake import FakeIntake
from tests.support.sensors.tcp.wire_device import WireDevice, connected

INGEST = frozenset({Scope.INGEST})
LOOPBACK = "127.0.0.0/8"


@dataclass
class TcpBench:
    """Ports that serve."""

    ports: list[int]
    intake: FakeIntake
    identity: Identity
    metrics: Metrics
    shutdown: Shutdown

    def token(
        self, *, seconds: int = 600, scopes: frozenset[Scope] = INGEST, name: str = "plant"
    ) -> str:
        """A token that is signed as the server's own are."""
        return self.identity.signer.issue(name, scopes, seconds)

    def device(
        self, tls: ssl.SSLContext | None = None, port: int = 0
    ) -> AbstractAsyncContextManager[WireDevice]:
        """A device at a port; ``port``: its index."""
        return connected(self.ports[port], tls)

    def rejections(self, reason: str) -> float:
        found = self.metrics.registry.get_sample_value("potoo_rejections_total", {"reason": reason})
        return found or 0.0


class TcpBenches:
    """Makes benches that share accounts and keys, which take long to make."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self._settings, self._identity = settings, identity

    @asynccontextmanager
    async def serve(
        self, intake: FakeIntake | None = None, **sensors: Any
    ) -> AsyncIterator[TcpBench]:
        """Serve; ``sensors``: of the settings, the framed port by default."""
        group = SensorSettings.model_validate({"tcp_port": 0, **sensors})
        settings = self._settings.model_copy(update={"sensors": group})
        metrics, shutdown = Metrics(), Shutdown()
        intake = intake or FakeIntake(pump=1, wide=3)
        opened = serving(settings, self._identity, intake.as_intake, metrics, shutdown)
        async with asyncio.timeout(120), opened as ports:
            yield TcpBench(ports, intake, self._identity, metrics, shutdown)


@asynccontextmanager
async def open_benches(folder: Path) -> AsyncIterator[TcpBenches]:
    """Identity in a folder."""
    settings = load_settings(data_dir=folder, auth={"clock_skew_seconds": 0}, drain_seconds=5)
    async with open_identity(settings, Metrics()) as identity:
        await identity.revocations.refresh()
        yield TcpBenches(settings, identity)
