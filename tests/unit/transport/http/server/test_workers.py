"""Workers and their supervisor in case of failures, in subprocesses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import uvicorn

from service.settings import load_settings
from service.transport.http.server.workers import Worker

PATIENCE = 60
APP = """
import asyncio, os, signal, socket, sys, threading, time
import uvicorn
from observability.logging import configure_logging
from observability.metrics import Metrics
from service.settings import load_settings
from service.shutdown import Shutdown
from service.transport.http.server import workers
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.server import Server

settings = load_settings(drain_seconds=0, workers=2)
hangs = False

async def app(scope, receive, send):
    await receive()
    scope["state"][STATE_KEY] = ConnectionContext(settings.limits, Metrics(), (), Shutdown())
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
    """Behind ``APP``, as a file: worker processes import it."""
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


def test_a_worker_that_nobody_answers_for_is_asked_once_and_not_waited_for() -> None:
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
def configure_slowly(chosen):
    configure_logging(chosen)
    # Meanwhile others may do what they like; whoever else makes a server is done later.
    time.sleep(0.2 if threading.current_thread() is threading.main_thread() else 0.4)

workers.configure_logging = configure_slowly
listener = socket.create_server(("127.0.0.1", 0))
worker = workers.Worker(0, configured(), settings, listener)
worker._supervisor = os.getppid()
worker.parent_conn.send(b"ping")

def ask():
    worker.parent_conn.recv()
    until = time.monotonic() + 20
    while not (is_ready := worker.is_ready()) and time.monotonic() < until:
        time.sleep(0.01)
    print("ready:", is_ready, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=ask, daemon=True).start()
worker.target([listener])
"""


def test_a_worker_that_is_asked_before_it_is_made_answers_for_the_server_that_serves(
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
    print(workers.run_workers(configured(patience=1), settings, listener, stop))
else:
    time.sleep(3)  # as long as imports take on a small machine
"""


def test_workers_may_take_longer_to_start_than_to_answer(tmp_path: Path) -> None:
    done = run(tmp_path, SLOW)
    assert done.stdout == "ready\n0\n"
    assert "a worker died" not in done.stderr


ORPHAN = """
hangs = True
configure_logging(settings.observability)
Server(configured(), settings, supervisor=1 if os.getppid() != 1 else 2).run()
"""


def test_a_worker_that_hangs_ends_although_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    done = run(tmp_path, ORPHAN)
    assert done.returncode == 128 + signal.SIGTERM
    assert "the supervisor has exited" in done.stderr
    assert "the time to drain is over" in done.stderr
