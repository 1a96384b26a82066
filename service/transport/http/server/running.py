"""Start of the application: one process, or several that share a port."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from service.settings import Settings
from service.transport.http.server.protocol import PotooProtocol
from service.transport.http.server.server import Server
from service.transport.http.server.workers import run_workers
from service.transport.listening import listening

BACKLOG = 2048
PING_SECONDS = 20.0
"""Between the pings of a WebSocket, and to answer one."""


def run(
    make_app: Callable[[Settings], object],
    settings: Settings,
    on_ready: Callable[[str, str], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Blocks.

    Args:
        make_app: importable by name, so that it can be passed to worker processes.
        on_ready: called with the URL and the line of models once requests are answered (with
            several workers: by the first of them).

    Raises:
        SettingsError: the address cannot be listened on.
    """
    listener = _listen(settings.host, settings.port)
    url = f"http://{_host(settings.host)}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        functools.partial(make_app, settings),
        factory=True,
        host=settings.host,
        workers=settings.workers,
        http=PotooProtocol,
        ws="none",  # imported by the protocol when it is first needed
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # images are compressed already
        lifespan="on",
        loop="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see ``proxied``
        timeout_keep_alive=settings.limits.keep_alive_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]
        backlog=BACKLOG,
    )
    if settings.workers > 1:
        status = run_workers(config, settings, listener, functools.partial(on_ready, url))
    else:
        server = Server(config, settings, on_ready=functools.partial(on_ready, url))
        with suppress(SystemExit):  # uvicorn raises it when the start failed
            server.run(sockets=[listener])
        status = 0 if server.started else 1
    if status:
        raise SystemExit(status)  # the reason was logged


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening("port", host, port):
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.set_inheritable(True)
    return listener


def _host(host: str) -> str:
    """Return the host as it stands in a URL that a person can open."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    return f"[{host}]" if ":" in host else host
