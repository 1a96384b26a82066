"""The server under test, with all that a user gets: tokens, limits, metrics, access log."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Subject:
    """A running server. ``start_seconds``: from the command to the first answer it could give."""

    url: str
    token: str
    start_seconds: float
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """CPU time of the whole process tree so far."""
        tree = [self.process, *self.process.children(recursive=True)]
        times = [process.cpu_times() for process in tree]
        return float(sum(time.user + time.system for time in times))

    def memory_mib(self) -> float:
        """Resident memory of the whole process tree now."""
        tree = [self.process, *self.process.children(recursive=True)]
        return float(sum(process.memory_info().rss for process in tree) / 2**20)


@contextmanager
def running(models: Path, *arguments: str) -> Iterator[Subject]:
    """Starts ``potoo serve`` over a model repository, on a free port."""
    with tempfile.TemporaryDirectory() as name:
        potoo = [sys.executable, "-m", "service"]
        place = ["--data-dir", f"{name}/data"]
        command = [*potoo, "serve", "--port", "0", "--models", str(models), *place, *arguments]
        began = time.perf_counter()
        with (Path(name) / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = ""
            while "Potoo is ready" not in line:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError((Path(name) / "log").read_text())
            start = time.perf_counter() - began
            token = subprocess.run(
                [*potoo, "token", "--user", "admin", "--ttl", "8h", *place],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            yield Subject(line.split()[-1], token, start, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(30)
