"""The peers, their start commands, and their variants on these cores."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.peers.work import PeerWork
from benchmarks.support import photo
from benchmarks.support.subject import ROOT, DoesNotStart, Subject, end_of, stop

START_SECONDS = 60
START_STEP = 0.1
STOP_SECONDS = 5
"""Time to end before a kill; LitServe does not end on SIGTERM."""
BATCH = 8


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a peer: processes, ONNX Runtime's threads in each, the largest batch."""

    workers: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        """Format the variant for tables."""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        return f"{self.workers} worker{'s' * (self.workers > 1)}{batch}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to compare with. ``command``: arguments to its Python."""

    title: str
    package: str
    path: str
    command: Callable[[PeerWork], list[str]]
    variants: Callable[[int], list[Variant]]


def _workers_and_batches(cores: int) -> list[Variant]:
    """List variants: one process with every core, or one a core; with and without batches."""
    return [
        Variant(workers, max(1, cores // workers), batch)
        for workers in sorted({1, cores})
        for batch in (1, BATCH)
    ]


def _workers(cores: int) -> list[Variant]:
    """List variants by workers alone, since a process uses all cores by its thread pool."""
    return [Variant(workers, 1) for workers in sorted({1, cores})]


def _module(name: str) -> list[str]:
    return ["-m", f"benchmarks.peers.{name}"]


def _mosec(job: PeerWork) -> list[str]:
    return [*_module("mosec_server"), "--address", "127.0.0.1", "--port", str(job.port)]


def _litserve(_: PeerWork) -> list[str]:
    return _module("litserve_server")


def _fastapi(job: PeerWork) -> list[str]:
    listen = ["--host", "127.0.0.1", "--port", str(job.port), "--workers", str(job.workers)]
    return ["-m", "uvicorn", "benchmarks.peers.fastapi_server:app", *listen]


PEERS = (
    Peer("mosec", "mosec", "/inference", _mosec, _workers_and_batches),
    Peer("LitServe", "litserve", "/predict", _litserve, _workers_and_batches),
    Peer("FastAPI", "fastapi", "/predict", _fastapi, _workers),
)


@contextmanager
def running(
    peer: Peer, python: Path, model: Path, preprocessing: str, variant: Variant
) -> Iterator[Subject]:
    """Run a peer over one version of a model, ready when it has answered a photo.

    Raises:
        DoesNotStart: the peer ends, or has not answered within a minute.
    """
    job = PeerWork(
        str(model), preprocessing, _free_port(), variant.workers, variant.threads, variant.batch
    )
    environment = {**os.environ, **job.as_environment(), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        began = time.perf_counter()
        with log.open("w") as file:
            process = subprocess.Popen(
                [str(python), *peer.command(job)],
                stdout=file,
                stderr=file,
                text=True,
                cwd=folder,
                env=environment,
            )
        try:
            url = f"http://127.0.0.1:{job.port}"
            _await_answer(process, url + peer.path, log)
            seconds = time.perf_counter() - began
            yield Subject(url, "", seconds, psutil.Process(process.pid), peer.path)
        finally:
            stop(process, STOP_SECONDS)


def _await_answer(process: subprocess.Popen[str], url: str, log: Path) -> None:
    body, headers = photo.jpeg(), {"content-type": "image/jpeg"}
    answer = None
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=START_SECONDS, trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                answer = client.post(url, content=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                return
            time.sleep(START_STEP)
    said = f"it answers {answer.status_code}: {answer.text}\n" if answer is not None else ""
    raise DoesNotStart(said + end_of(log))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
