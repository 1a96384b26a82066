"""The shutdown watchdog, tested in subprocesses, because it ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.transport.http.server.shutdown_watchdog import TOGETHER_SECONDS

pytestmark = pytest.mark.process

HANGS = """
import signal, sys, time
from observability.logs.logging import configure_logging
from observability.settings import ObservabilitySettings
from service.transport.http.server.shutdown_watchdog import ShutdownWatchdog
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
    """The exit status, and the reason in the log."""
    _, log = process.communicate(timeout=60)
    (line,) = log.splitlines()
    assert '"event":"forced exit"' in line
    return process.returncode, line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hanging_process_ends_after_the_grace_period(number: int) -> None:
    with hanging(0.1) as process:
        process.send_signal(number)
        status, line = end_of(process)
    assert status == 128 + number
    assert "the time to drain is over" in line


def test_process_ends_although_its_log_is_not_read() -> None:
    with hanging(0.1, WRITES) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


def test_later_second_signal_ends_the_process_immediately() -> None:
    with hanging(60) as process:
        assert process.stdout
        # Both wait until it continues, and then arrive together on any machine.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert [process.stdout.readline() for _ in range(2)] == ["True\n", "False\n"]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2 * TOGETHER_SECONDS)
        process.send_signal(signal.SIGTERM)
        status, line = end_of(process)
    assert status == 128 + signal.SIGINT, "the first one that it handles, by its number"
    assert "a second signal" in line
