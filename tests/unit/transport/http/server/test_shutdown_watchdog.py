"""The shutdown watchdog, tested in subprocesses, because it ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HANGS = """
import signal, sys, time
from observability.logging import configure_logging
from observability.settings import ObservabilitySettings
from service.transport.http.server import shutdown_watchdog as ours
from service.transport.http.server.shutdown_watchdog import ShutdownWatchdog
ours.TOGETHER_SECONDS = 3  # a quarter of one may pass between two lines of a test
configure_logging(ObservabilitySettings(log_format="json"))
watchdog = ShutdownWatchdog(float(sys.argv[1]))
watchdog.start()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: print(watchdog.note_signal(number), flush=True))
print("up", flush=True)
while True:
    time.sleep(0.01)
"""
WRITES = HANGS.replace("time.sleep(0.01)", "get_logger('a').warning('b' * 1000)").replace(
    "configure_logging\n", "configure_logging, get_logger\n"
)


@contextmanager
def hanging(grace: float, script: str = HANGS) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status, and why the log says that it ended."""
    _, log = process.communicate(timeout=60)
    (line,) = log.splitlines()
    assert '"event":"forced exit"' in line
    return process.returncode, line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_the_grace_ends_it(number: int) -> None:
    with hanging(0.1) as process:
        process.send_signal(number)
        status, line = end_of(process)
    assert status == 128 + number
    assert "the time to drain is over" in line


def test_it_ends_though_nobody_reads_its_log() -> None:
    with hanging(0.1, WRITES) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


def test_a_second_signal_ends_it_at_once_but_not_one_that_came_with_the_first() -> None:
    with hanging(60) as process:
        assert process.stdout
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "False\n"
        while process.poll() is None:  # until one comes that is late enough
            process.send_signal(signal.SIGINT)
            if process.stdout.readline() == "":
                break
        status, line = end_of(process)
    assert status == 128 + signal.SIGTERM, "the first one is what it was told"
    assert "a second signal" in line
