"""A real RTSP server, GStreamer's, in a process of the system's Python."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.databases import free_port, missing

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
PATTERN = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=15/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
"""Live H.264 with a key frame a second."""
CHECK = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
)


class GStreamerServer:
    """The server, which can be stopped, killed and started again on its port.

    Args:
        launch: the pipeline of ``/cam``.
        user: whom the server lets in, by digest; None: everybody.
        password: of that user.
        certificate: PEM file with certificate and key, for rtsps.
    """

    def __init__(
        self,
        launch: str = PATTERN,
        *,
        user: str | None = None,
        password: str | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._wanted = {
            "port": self.port,
            "launch": launch,
            "user": user,
            "password": password,
            "certificate": str(certificate) if certificate else None,
        }
        self.start()

    def start(self) -> None:
        """Start the server; returns when it listens."""
        self._process = subprocess.Popen(
            [PYTHON, str(SERVER), json.dumps(self._wanted)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout
        assert int(self._process.stdout.readline()) == self.port

    def kill(self) -> None:
        """End the server without a word to its clients."""
        with self._process:
            self._process.kill()

    def stop(self) -> None:
        """Halt the server: the kernel goes on accepting connections."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a stopped server run."""
        self._process.send_signal(signal.SIGCONT)


def is_installed() -> bool:
    """Return whether the system's Python can run the server."""
    if not Path(PYTHON).exists():
        return False
    check = subprocess.run([PYTHON, "-c", CHECK], capture_output=True, check=False)
    return check.returncode == 0


@contextmanager
def gstreamer_server(
    launch: str = PATTERN,
    *,
    user: str | None = None,
    password: str | None = None,
    certificate: Path | None = None,
) -> Iterator[GStreamerServer]:
    """Run a server; without GStreamer skip the test, or fail if it is required."""
    if not is_installed():
        missing("GStreamer RTSP server for Python (gir1.2-gst-rtsp-server-1.0, python3-gi)")
    server = GStreamerServer(launch, user=user, password=password, certificate=certificate)
    try:
        yield server
    finally:
        server.kill()
