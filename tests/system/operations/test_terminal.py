"""``potoo serve`` as a person at a terminal sees it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes.environment import clean_environment

pytestmark = pytest.mark.slow

PATIENCE = 120
ROOT = Path(__file__).parents[3]
OWN_PAGE = {"sec-fetch-site": "same-origin"}


class Terminal:
    """A process at its own terminal, and its output."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self.shown = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read until the pattern is shown."""
        ends_at = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < ends_at, self.shown
            assert self._read(), f"it ended: {self.shown}"
        return found

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit status once everything is read."""
        os.write(self._master, b"\x03")
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE)
        assert ready, self.shown
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: every process on the other side has ended
            return False
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)


@contextmanager
def at_terminal(*command: str | Path, **settings: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env=clean_environment(POTOO_ADMIN_PASSWORD="given by hand", **settings),
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
        os.close(master)


# The shell makes the terminal the controlling one, so that Ctrl-C reaches the process.
CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def serve(tmp_path: Path, models: Path, *more: str) -> tuple[str | Path, ...]:
    potoo = (sys.executable, "-m", "service", "serve", "--port", "0")
    folders = ("--data-dir", tmp_path / "data", "--models", models)
    return (sys.executable, "-c", CONTROLLED, *potoo, *folders, *more)


def test_every_start_prints_a_short_link_that_works_once(tmp_path: Path, colours: Path) -> None:
    for _ in range(2):
        with at_terminal(*serve(tmp_path, colours)) as terminal:
            link = terminal.read_until(r"sign in now: +(http://\S+)/#link=(\S+)\n")
            assert len(link[0]) < 150
            terminal.read_until(r"\(as admin; works once, for 15 minutes\)")
            address, form = f"{link[1]}/v1/auth/page/sign-in", {"code": link[2]}
            answer = httpx.post(address, data=form, headers=OWN_PAGE)
            granted = "cameras classify models:read models:write preprocess sensors stream teach"
            assert answer.json()["scope"] == granted
            assert httpx.post(address, data=form, headers=OWN_PAGE).status_code == 400


def test_no_link_is_printed_where_other_machines_may_open_it(tmp_path: Path, colours: Path) -> None:
    with at_terminal(*serve(tmp_path, colours, "--host", "0.0.0.0")) as terminal:  # noqa: S104 - what is tested
        terminal.read_until("model: .*\n\n")
        assert "#link" not in terminal.shown


def test_lines_are_plain_and_free_of_static_files(tmp_path: Path, colours: Path) -> None:
    with at_terminal(*serve(tmp_path, colours), NO_COLOR="1") as terminal:
        url = terminal.read_until(r"Potoo is ready: +(\S+)")[1]
        terminal.read_until(r"works once")
        assert httpx.get(f"{url}/static/app.js").status_code == 200
        assert httpx.get(f"{url}/static/missing.js").status_code == 404
        assert httpx.get(f"{url}/healthz").status_code == 200
        terminal.read_until(r"request .*/healthz")
        assert re.findall(r"request .*route=/static.*status=(\d+)", terminal.shown) == ["404"]
        assert "scopes='admin, cameras, classify" in terminal.shown
        for unwanted in ("\x1b[", "<Scope", "['", "None"):
            assert unwanted not in terminal.shown
        assert terminal.interrupt() == 130
        assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("workers", ["1", "2"])
def test_failed_start_is_one_plain_line(tmp_path: Path, colours: Path, workers: str) -> None:
    models = shutil.copytree(colours, tmp_path / "models")
    (models / "colours" / "1" / "manifest.json").write_text("{}")
    options = ("--workers", workers)
    with at_terminal(*serve(tmp_path, models, *options), NO_COLOR="1") as terminal:
        terminal.read_until(r"(?m)^potoo: cannot start: .*colours.*\n")
        assert terminal.process.wait(PATIENCE) == 1
        assert terminal.shown.count("cannot start") == 1
        assert "Traceback" not in terminal.shown


def test_ctrl_c_ends_make_serve_quietly(tmp_path: Path, colours: Path) -> None:
    make, venv = shutil.which("make"), Path(sys.prefix)
    assert make
    options = f"--port 0 --data-dir {tmp_path / 'data'} --models {colours}"
    command = (make, "-o", f"{venv}/.served", "serve", f"VENV={venv}", f"ARGS={options}")
    with at_terminal(sys.executable, "-c", CONTROLLED, *command) as terminal:
        terminal.read_until("works once")
        terminal.interrupt()
    assert "stopped" in terminal.shown
    for unwanted in ("make: ***", "Traceback", "Error 130"):
        assert unwanted not in terminal.shown
