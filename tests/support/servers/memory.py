"""Memory of a server process, measured from outside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.support.models.hostile_files import MEGABYTE
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until


class Watch:
    """Memory growth of a server's process since the start of the measurement, in MiB."""

    def __init__(self, server: LiveServer) -> None:
        self._process = psutil.Process(server.process.pid)
        self._before = self._resident()

    def _resident(self) -> float:
        return float(self._process.memory_info().rss) / MEGABYTE

    @property
    def growth(self) -> float:
        return self._resident() - self._before

    def peak_during(self, work: Callable[[], object]) -> float:
        """Measure repeatedly while ``work`` runs."""
        peak = 0.0
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(work)
            while not wait_until(done.done, patience=0.005, pause=0.005):
                peak = max(peak, self.growth)
            done.result()
        return max(peak, self.growth)
