"""Workers and their supervisor in case of failures, in subprocesses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn

from service.settings import load_settings
from service.transport.http.server.workers import Worker

pytestmark = pytest.mark.process
PATIENCE = 60
APP = """
import asyncio, os, signal, socket, sys, threading, time
import pytest
import uvicorn
from observability.logs.logging import configure_logging
from observability.metrics.metrics import Metrics
from service.settings import load_settings
from service.runtime.shutdown import Shutdown
from service.transport.budget import BodyBudget
from service.transport.http.server import workers
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.server import Server

settings, metrics = load_settings(drain_seconds=0, workers=2), Metrics()
hangs = False

async def app(scope, receive, send):
    await receive()
    scope["state"][STATE_KEY] = ConnectionContext(
        settings.limits, metrics, (), Shutdown(), BodyBudget(2**20, metrics)
    )
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if hangs:
        await asyncio.Event().wait()
    await send({"type": "lifespan.shutdown.complete"})

def configured(patience=5):
    return uvicorn.Config(
        app, log_config=None, lifespan="on", timeout_graceful_shutdown=0,
        timeout_worker_healthcheck=patience,
    )
"""


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run ``APP`` and the script from a file, since worker processes import it."""
    file = folder / "script.py"
    file.write_text(APP + script)
    return subprocess.run(
        [sys.executable, file],
        env=os.environ
        | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_silent_worker_is_pinged_once_without_waiting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config("none:app", log_config=None)
        worker = Worker(0, config, load_settings(), listener)
        assert not worker.has_started()
        assert not worker.has_started()
        assert worker.child_conn.recv() == b"ping"
        assert not worker.child_conn.poll()
        for answer in (False, True):
            worker.child_conn.send(answer)
            assert worker.has_started() is answer
            worker.has_started()
            assert worker.child_conn.recv() == b"ping"
        worker.child_conn.close()
        assert not worker.has_started(), "it is gone"
        worker.parent_conn.close()


ASKED_EARLY = """
class Slow(type(settings)):
    # Every new server reads it. The delays let other threads run: a server that another thread makes
    # beside that of the main thread finishes later, and would replace it.
    @property
    def drain_seconds(self):
        time.sleep(0.2 if threading.current_thread() is threading.main_thread() else 0.4)
        return 0

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    worker = workers.Worker(0, configured(), Slow(**settings.model_dump()), listener)
    worker.parent_conn.send(b"ping")
    worker.start()
    worker.parent_conn.recv()
    until = time.monotonic() + 20
    while not (is_ready := worker.is_ready()) and time.monotonic() < until:
        time.sleep(0.01)
    print("ready:", is_ready, flush=True)
    worker.kill()
    worker.join()
"""


def test_early_ping_is_answered_once_the_server_is_ready(
    tmp_path: Path,
) -> None:
    assert run(tmp_path, ASKED_EARLY).stdout == "ready: True\n"


SLOW = """
if __name__ == "__main__":
    def stop(models):
        print("ready", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    configure_logging(settings.observability)
    listener = socket.create_server(("127.0.0.1", 0))
    print(workers.run_workers(configured(patience=0.1), settings, listener, stop))
else:
    time.sleep(3 * workers.LOOK_SECONDS)  # a small machine imports that long: three looks
"""


def test_workers_may_start_slower_than_the_ping_timeout(tmp_path: Path) -> None:
    done = run(tmp_path, SLOW)
    assert done.stdout == "ready\n0\n"
    assert "a worker died" not in done.stderr


ORPHAN = """
hangs = True
configure_logging(settings.observability)
Server(configured(), settings, supervisor=1 if os.getppid() != 1 else 2).run()
"""


def test_hanging_worker_without_a_supervisor_ends_itself(tmp_path: Path) -> None:
    done = run(tmp_path, ORPHAN)
    assert done.returncode == 128 + signal.SIGTERM
    assert "the supervisor has exited" in done.stderr
    assert "the time to drain is over" in done.stderr
