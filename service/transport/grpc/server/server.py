"""Start and stop the gRPC server: in HTTP's process and event loop, on its own port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import grpc

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from observability.tracing.tracing import Tracing
from service.runtime.runtime import Runtime
from service.runtime.shutdown import Shutdown
from service.settings import LimitSettings, Settings
from service.transport.grpc.errors import Faults
from service.transport.grpc.handler import RpcHandler
from service.transport.grpc.health import ALSO_SERVED, REFLECTION, Health, Reflection
from service.transport.grpc.inference.service import InferenceService
from service.transport.grpc.predict.service import ModelService
from service.transport.grpc.preprocess.service import PreprocessService
from service.transport.grpc.reading import Reader
from service.transport.grpc.server.listening import target
from service.transport.grpc.server.tls import credentials
from service.transport.proxies import TrustedProxies

STREAMS_PER_CONNECTION = 100
IDLE_MS = 300_000
"""Time after which a connection without any RPC is closed."""
PING_MS = 60_000
"""Interval of keepalive pings to a silent peer, with calls or without."""
MIN_PING_MS = 20_000
"""Peers that ping more often are disconnected, with calls or without."""
LONGEST_MS = 2**31 - 1
"""Longest time-out that gRPC accepts."""
LINGER_SECONDS = 0.5
"""Pause between the last answer and closing connections at a stop; callers refused meanwhile retry
elsewhere."""


@asynccontextmanager
async def serving(
    settings: Settings,
    runtime: Runtime,
    metrics: Metrics,
    tracing: Tracing | None = None,
) -> AsyncIterator[int]:
    """Serve at ``settings.grpc_port``; yield the port, which differs if that is 0.

    Once ``runtime.shutdown`` drains, or the block ends, no new RPC is accepted; accepted ones have
    ``settings.drain_seconds`` to finish.

    Raises:
        SettingsError: certificate and key cannot be used.
        OSError: the server cannot listen on the port.
    """
    parts = _build(settings, runtime, metrics, tracing)
    server = parts.server
    port = _listen(server, settings, metrics)
    parts.health.set(is_ready=runtime.is_ready)
    await server.start()
    get_logger("server").info("grpc ready", port=port, tls=settings.grpc_tls_cert is not None)
    following = asyncio.create_task(parts.health.follow(lambda: runtime.is_ready))
    shutdown = runtime.shutdown
    draining = asyncio.create_task(_drain(parts, settings.drain_seconds, shutdown, following))
    try:
        yield port
    finally:
        shutdown.drain()
        await draining


class _Parts(NamedTuple):
    server: grpc.aio.Server
    gate: RpcHandler
    health: Health


def _build(
    settings: Settings, runtime: Runtime, metrics: Metrics, tracing: Tracing | None
) -> _Parts:
    limits, faults = settings.limits, Faults(metrics)
    ours = [
        InferenceService(runtime, limits, faults).registration,
        ModelService(runtime, limits).registration,
        PreprocessService(runtime, limits, faults).registration,
    ]
    names = [*(descriptor.full_name for descriptor, _ in ours), *ALSO_SERVED]
    health, reflection = Health(names), Reflection(names)
    gate = RpcHandler(
        [*ours, health.registration, reflection.registration],
        runtime.identity,
        Reader(limits, runtime.budget, runtime.shutdown.draining),
        metrics,
        faults,
        TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None,
        access_log=settings.observability.access_log,
        tracing=tracing,
    )
    gate.alias(REFLECTION.format("v1alpha"), REFLECTION.format("v1"))
    server = grpc.aio.server(
        handlers=[gate],
        options=server_options(limits),
        # An idle stream costs as much as an idle connection, so both have one limit.
        maximum_concurrent_rpcs=limits.max_connections,
    )
    return _Parts(server, gate, health)


def server_options(limits: LimitSettings) -> list[tuple[str, int]]:
    """Return the channel arguments of the server."""
    handshake_ms = round(min(limits.header_timeout_seconds * 1000, LONGEST_MS))
    return [
        # ``listening`` reserves the port, so only our own workers share it.
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),  # our own answers
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
        ("grpc.server_handshake_timeout_ms", handshake_ms),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.keepalive_time_ms", PING_MS),
        ("grpc.keepalive_timeout_ms", handshake_ms),
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
        # Otherwise pings of a connection without calls are allowed every two hours only.
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _listen(server: grpc.aio.Server, settings: Settings, metrics: Metrics) -> int:
    address = target(settings.host, settings.grpc_port or 0)
    secrets = credentials(settings, metrics)
    try:
        if secrets is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, secrets)
    except RuntimeError:  # gRPC's own message contains paths of its source files
        raise OSError(f"cannot listen on {address} for gRPC") from None


async def _drain(
    parts: _Parts, grace: float, shutdown: Shutdown, following: asyncio.Task[None]
) -> None:
    """Set health to not serving once announced; when draining begins, finish and stop the server.

    gRPC's own stop cancels calls that arrive before clients read its notice: ``CANCELLED``, which
    clients do not retry. So new calls first get ``UNAVAILABLE``, which clients do retry.
    """
    await shutdown.announced.wait()
    following.cancel()
    parts.health.set(is_ready=False)
    await shutdown.draining.wait()
    until = time.monotonic() + grace
    parts.health.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await parts.gate.idle()
            await asyncio.sleep(LINGER_SECONDS)
    await parts.server.stop(max(0.0, until - time.monotonic()))
