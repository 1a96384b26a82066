"""The server under test, as users run it: tokens, limits, metrics, access log."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS, SETTLE_STEP = 10.0, 0.2
IDLE_CORES = 0.1


class DoesNotStart(Exception):
    """A server to measure did not start; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A running server. ``start_seconds``: from the command until it could answer."""

    url: str
    token: str
    start_seconds: float
    process: psutil.Process
    path: str = "/v1/classify"

    @property
    def endpoint(self) -> str:
        """The URL to post photos to."""
        return self.url + self.path

    def cpu_seconds(self) -> float:
        """Return the CPU time of the whole process tree so far."""
        times = [process.cpu_times() for process in _tree(self.process)]
        return float(sum(time.user + time.system for time in times))

    def memory_mib(self) -> float:
        """Return the resident memory of the process tree; shared memory counts for each process."""
        return float(sum(process.memory_info().rss for process in _tree(self.process)) / 2**20)

    def proportional_mib(self) -> float:
        """Return the memory with shared parts divided among processes, where known (Linux)."""
        infos = [process.memory_full_info() for process in _tree(self.process)]
        return float(sum(getattr(info, "pss", info.rss) for info in infos) / 2**20)

    def settle(self) -> None:
        """Wait until the server is idle: it may still work for clients that have disconnected."""
        for _ in range(int(SETTLE_SECONDS / SETTLE_STEP)):
            before = self.cpu_seconds()
            time.sleep(SETTLE_STEP)
            if self.cpu_seconds() - before <= IDLE_CORES * SETTLE_STEP:
                break


@dataclass(frozen=True, slots=True)
class Start:
    """A server that has started. ``seconds``: from the command until it could answer."""

    url: str
    seconds: float
    process: psutil.Process


@contextmanager
def running(
    models: Path | None,
    *arguments: str,
    tree: Path = ROOT,
    data_dir: Path | None = None,
    program: Sequence[str] = ("-m", "service"),
) -> Iterator[Subject]:
    """Run ``potoo serve`` over a model repository, on a free port.

    Args:
        models: the repository; None for that of the data folder.
        arguments: additional arguments of ``potoo serve``.
        tree: the source tree to run; this one by default.
        data_dir: the data folder; a new one by default.
        program: what Python runs as the server.

    Raises:
        DoesNotStart: the server ends before it is ready.
    """
    with tempfile.TemporaryDirectory() as name:
        potoo = [sys.executable, "-m", "service"]
        place = ["--data-dir", str(data_dir or f"{name}/data")]
        repository = ["--models", str(models)] if models else []
        with started(
            [
                *(sys.executable, *program, "serve", "--port", "0"),
                *(*repository, *place, *arguments),
            ],
            tree,
        ) as start:
            token = subprocess.run(
                [*potoo, "token", "--user", "admin", "--ttl", "8h", *place],
                capture_output=True,
                text=True,
                check=True,
                cwd=tree,
                env=_environment(tree),
            ).stdout.strip()
            yield Subject(start.url, token, start.seconds, start.process)


@contextmanager
def started(serve: list[str], tree: Path = ROOT) -> Iterator[Start]:
    """Start a server, wait until it is ready, stop it on exit.

    Args:
        serve: the command line of ``potoo serve``, all of it.
        tree: the source tree to run; this one by default.

    Raises:
        DoesNotStart: the server ends before it is ready.
    """
    with tempfile.TemporaryDirectory() as name, (Path(name) / "log").open("w") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            serve,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=tree,
            env=_environment(tree),
        )
        try:
            assert process.stdout is not None
            line = ""
            while "Potoo is ready" not in line:
                line = process.stdout.readline()
                if not line:
                    raise DoesNotStart(end_of(Path(name) / "log"))
            seconds = time.perf_counter() - began
            yield Start(line.split()[-1], seconds, psutil.Process(process.pid))
        finally:
            stop(process)


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


def stop(process: subprocess.Popen[str], patience: float = 30) -> None:
    """Terminate a server; kill the rest of its process tree after ``patience`` seconds."""
    with process:
        try:
            tree = _tree(psutil.Process(process.pid))
        except psutil.NoSuchProcess:
            return
        process.terminate()
        for survivor in psutil.wait_procs(tree, timeout=patience)[1]:
            survivor.kill()


def end_of(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]
