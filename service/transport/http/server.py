"""Runs the application: one process, or several that share a port."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from observability.logging import configure_logging, get_logger
from observability.worker_metrics import (
    MULTIPROCESS_FOLDER,
    Restarts,
    count_as,
    forget_gauges,
)
from service.process import spare_the_collector, tune
from service.settings import Settings
from service.transport.http.protocol import STATE_KEY, PotooProtocol, Wire

BACKLOG = 2048
TICKS_PER_SECOND = 10


class Server(uvicorn.Server):
    """uvicorn's server, which also sweeps slow connections and says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once; the application's lifespan has started when it returns."""
        tune()
        await super().startup(sockets)
        if self.started:
            spare_the_collector()
            if self._on_ready:
                self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % TICKS_PER_SECOND == 0:
            self.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers what was accepted, within the grace time; slow clients are still cut off."""

        async def keep_sweeping() -> None:
            while True:
                await asyncio.sleep(1)
                self.sweep()

        self._tell_others()
        sweeping = asyncio.create_task(keep_sweeping())
        try:
            await super().shutdown(sockets)
        finally:
            sweeping.cancel()

    def _tell_others(self) -> None:
        """What is served beside HTTP drains at the same time, not after it."""
        wire: Wire = self.lifespan.state[STATE_KEY]
        wire.stopping.set()

    def sweep(self) -> None:
        """Ends connections that have lasted too long in one state."""
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            if isinstance(connection, PotooProtocol):
                connection.sweep(now)


class _Worker(Process):
    """A worker process of the supervisor. ``place``: 0 upwards; the one that replaces it has it."""

    def __init__(self, place: int, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.place = place

    @property
    def server(self) -> Server:
        if self._server is None:
            configure_logging(_settings_of(self.config).observability)
            count_as(self.place)
            self._server = Server(self.config)
        return self._server  # type: ignore[return-value]


class _Supervisor(Multiprocess):
    """Starts the workers and replaces those that die.

    ``on_ready`` is called when the first of them is, once, and is None from then on.
    """

    on_ready: Callable[[], None] | None = None
    restarts: Restarts

    def init_processes(self) -> None:
        for place in range(self.processes_num):
            self.processes.append(self._start(place))

    def keep_subprocess_alive(self) -> None:
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if worker.is_alive(self.config.timeout_worker_healthcheck):
                if self.on_ready and worker.is_ready():
                    self.on_ready()
                    self.on_ready = None
                continue
            worker.kill()
            worker.join()
            forget_gauges(place)
            get_logger("server").error("a worker died", pid=worker.pid, status=worker.exitcode)
            if worker.exitcode == STARTUP_FAILURE:
                self.should_exit.set()  # it would fail the same way again
                return
            self.restarts.inc()
            self.processes[place] = self._start(place)

    def _start(self, place: int) -> Process:
        worker = _Worker(place, self.config, self.sockets)
        worker.start()
        return worker


def run(
    make_app: Callable[[Settings], object],
    settings: Settings,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Blocks.

    Args:
        make_app: importable by name, so that worker processes can be given it.
        on_ready: told the URL once requests are answered (with several workers: accepted).

    Raises:
        OSError: if the address cannot be listened on.
    """
    listener = _listen(settings.host, settings.port)
    url = f"http://{_host(settings.host)}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        functools.partial(make_app, settings),
        factory=True,
        host=settings.host,
        workers=settings.workers,
        http=PotooProtocol,
        ws="none",
        lifespan="on",
        loop="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.limits.keep_alive_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]
        backlog=BACKLOG,
    )
    if settings.workers == 1:
        server = Server(config, lambda: on_ready(url))
        with suppress(SystemExit):  # uvicorn's own way of saying that the start failed
            server.run(sockets=[listener])
        has_started = server.started
    else:
        has_started = _run_workers(config, listener, lambda: on_ready(url))
    if not has_started:
        raise SystemExit(1)  # why was logged


def _run_workers(
    config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[], None]
) -> bool:
    """Runs the supervisor until it is told to stop; whether a worker was ever ready."""
    with tempfile.TemporaryDirectory(prefix="potoo-metrics-") as folder:
        os.environ[MULTIPROCESS_FOLDER] = folder
        supervisor = _Supervisor(config, [listener])
        supervisor.on_ready, supervisor.restarts = on_ready, Restarts()
        supervisor.run()
        return supervisor.on_ready is None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise OSError(f"cannot listen on {host} port {port}: {reason}") from error
    listener.set_inheritable(True)
    return listener


def _host(host: str) -> str:
    """As it stands in a URL that a person can open."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    return f"[{host}]" if ":" in host else host


def _settings_of(config: uvicorn.Config) -> Settings:
    settings: Settings = config.app.args[0]  # type: ignore[union-attr]
    return settings
