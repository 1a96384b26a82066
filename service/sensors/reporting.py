"""Writes the reports of this process while other processes ask for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Never

from schemas.errors import NotReady
from service.coordination.finishing import finish
from service.sensors.live import LiveSensors, drawn
from service.sensors.store.reports import ReportStore

LOOK_SECONDS = 2.0


class Reporter:
    """Looks at the store for wishes of other processes, while this one receives samples."""

    def __init__(
        self, live: LiveSensors, reports: ReportStore, *, look: float = LOOK_SECONDS
    ) -> None:
        """``look``: seconds between two looks."""
        self._live, self._reports, self._look = live, reports, look

    async def run(self) -> Never:
        """Write reports until cancelled."""
        while True:
            with contextlib.suppress(NotReady):  # the database logs it
                await finish(self.write())
            await asyncio.sleep(self._look)

    async def write(self) -> None:
        """Write what is wanted now."""
        names = self._live.names()
        if not names:
            return
        reports = {}
        for name, wanted in (await self._reports.wanted()).items():
            if wanted.report and (report := self._live.report(name)) is not None:
                reports[name] = report
            if wanted.windows and (recent := self._live.recent(name)) is not None:
                await self._reports.write_windows(name, drawn(recent))
        await self._reports.write(reports)
