"""Worker processes that share a port: started, replaced when they die, and stopped together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from observability.logs.logging import configure_logging, get_logger
from observability.metrics.worker_metrics import (
    MULTIPROCESS_FOLDER,
    SupervisorMetrics,
    count_as,
    forget_gauges,
)
from service.settings import Settings
from service.transport.http.server.restart_delay import RestartDelay
from service.transport.http.server.server import Server, grace_of
from service.transport.http.server.shutdown_watchdog import (
    GRACE_SECONDS,
    TOGETHER_SECONDS,
    exit_status,
    log_end,
)

TICK_SECONDS = 0.1
LOOK_SECONDS = 0.5
"""Interval between checks that the workers are alive."""
MODELS_SECONDS = 5
"""Time-out for the line of models from a worker that has started."""


class Worker(Process):
    """One worker process; ``slot`` counts from 0 and passes to its replacement."""

    def __init__(
        self, slot: int, config: uvicorn.Config, settings: Settings, listener: socket.socket
    ) -> None:
        self.slot, self._settings, self._supervisor = slot, settings, os.getpid()
        self._is_asked = False
        self._hears, self._tells = multiprocessing.Pipe(duplex=False)
        super().__init__(config, [listener])

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the server: the main function of the process."""
        configure_logging(self._settings.observability)
        count_as(self.slot)
        # Before the thread that answers pings starts: it would create another server.
        self._server = Server(
            self.config,
            self._settings,
            on_ready=self._tells.send,
            supervisor=self._supervisor,
        )
        super().target(sockets)

    def has_started(self) -> bool:
        """Return whether the worker serves. Does not wait: it replies only after its imports."""
        try:
            if not self._is_asked:
                self.parent_conn.send(b"ping")
                self._is_asked = True
            if not self.parent_conn.poll():
                return False
            self._is_asked = False
            started: bool = self.parent_conn.recv()
        except (OSError, EOFError):  # the worker has ended
            return False
        return started

    def models(self) -> str:
        """Return the line of models that answer; call once, after the worker has started."""
        try:
            # The line arrives a moment after the start.
            return str(self._hears.recv()) if self._hears.poll(MODELS_SECONDS) else ""
        except (OSError, EOFError):  # the worker has ended
            return ""

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, by itself or otherwise."""
        return self.exitcode is not None


class WorkerSlot:
    """Slot for successive workers; ``worker`` is None before the first, and between two."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.ready_since: float | None = None
        self.start_at: float | None = None
        self.delay = RestartDelay()


class Supervisor:
    """Parent process that starts and replaces the workers until a signal stops all of them."""

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        listener: socket.socket,
        on_ready: Callable[[str], None],
    ) -> None:
        """Create the supervisor; ``on_ready`` gets the line of models of the first ready worker."""
        self._config, self._settings, self._listener = config, settings, listener
        self._on_ready: Callable[[str], None] | None = on_ready
        self._metrics = SupervisorMetrics()
        self._slots = [WorkerSlot(number) for number in range(settings.workers)]
        self._has_failed = False
        self._told_at: float | None = None
        self._signals: list[int] = []

    def run(self) -> int:
        """Supervise until stopped; return the exit status. Blocks."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        # The others start once it is ready, so that a fault common to all is logged once.
        self._start(self._slots[0])
        look_at = 0.0
        while not self._signals and not self._has_failed:
            if (now := time.monotonic()) >= look_at:
                self._look_after_all()
                look_at = now + LOOK_SECONDS
            time.sleep(TICK_SECONDS)
        return self._stop()

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > TOGETHER_SECONDS:
            self._signals.append(number)
        self._told_at = self._told_at or now

    def _start(self, slot: WorkerSlot) -> None:
        slot.worker = Worker(slot.number, self._config, self._settings, self._listener)
        slot.ready_since = None
        slot.worker.start()

    def _look_after_all(self) -> None:
        for slot in self._slots:
            if self._signals or self._has_failed:
                return
            if slot.worker is not None:
                self._look_after(slot, slot.worker)
            elif slot.start_at is not None and time.monotonic() >= slot.start_at:
                self._start(slot)
                self._metrics.count_restart()

    def _look_after(self, slot: WorkerSlot, worker: Worker) -> None:
        if slot.ready_since is not None:
            is_alive = worker.is_alive(self._config.timeout_worker_healthcheck)
        else:  # no time-out: a small machine may take long
            is_alive = not worker.has_ended
        if not is_alive:
            self._reap(slot, worker)
        elif slot.ready_since is None and worker.has_started():
            slot.ready_since = time.monotonic()
            if self._on_ready:
                self._on_ready(worker.models())
                self._on_ready = None
                for other in self._slots[1:]:
                    self._start(other)

    def _reap(self, slot: WorkerSlot, worker: Worker) -> None:
        """Kill and log a dead or hung worker, and schedule its replacement."""
        worker.kill()  # a hung worker counts as dead
        worker.join()
        slot.worker = None
        forget_gauges(slot.number)
        now = time.monotonic()
        lived = now - slot.ready_since if slot.ready_since else 0.0
        others_live = any(other.worker and not other.worker.has_ended for other in self._slots)
        if worker.exitcode == STARTUP_FAILURE and (self._on_ready or not others_live):
            self._has_failed = True  # the next one would fail the same way
            return
        delay = slot.delay.after(lived)
        slot.start_at = now + delay
        get_logger("server").error(
            "a worker died",
            pid=worker.pid,
            status=worker.exitcode,
            served_seconds=round(lived, 1),
            restart_in_seconds=delay,
        )

    def _stop(self) -> int:
        """Stop the workers; kill them on a second signal or after their time. Return the status."""
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.terminate()
        # The workers have their own; this one would accept connections that are never answered.
        self._listener.close()
        # They end by themselves in time, unless something holds the interpreter's lock for ever.
        ends_at = time.monotonic() + grace_of(self._settings) + GRACE_SECONDS
        while not all(worker.has_ended for worker in workers):
            is_told_again = len(self._signals) > 1
            if is_told_again or time.monotonic() > ends_at:
                for worker in workers:
                    worker.kill()
                log_end("a second signal" if is_told_again else "the time to drain is over")
                return exit_status(self._signals[0] if self._signals else signal.SIGTERM)
            time.sleep(TICK_SECONDS)
        return 1 if self._has_failed else 0


def run_workers(
    config: uvicorn.Config,
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[str], None],
) -> int:
    """Run the supervisor until it is stopped; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="potoo-metrics-") as folder:
        os.environ[MULTIPROCESS_FOLDER] = folder
        return Supervisor(config, settings, listener, on_ready).run()
