"""Runs a watcher for each camera that this process holds, and follows changes of the store.

::

    store ── a look every 2 s ──► Supervisor ── a task a camera ──► lease ──► Watcher
      ▲                               │ reports and previews, while another process asks for them
      └───────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Never

from observability.logs.logging import get_logger
from observability.metrics.camera_metrics import CameraMetrics
from schemas.errors import NotReady, ServiceError
from service.cameras.pipeline.budget import Budget
from service.cameras.store.cameras import CameraStore, Glance, StoredCamera
from service.cameras.store.reports import Preview, ReportStore
from service.cameras.watching.classifying import FrameClassifier
from service.cameras.watching.watcher import Watcher
from service.coordination.finishing import finish
from service.coordination.ports import LeaseLost, Leases
from service.coordination.wishes import is_wanted

LOOK_SECONDS = 2.0
RESTART_SECONDS = 5.0
"""Pause after a watcher failed, which is a bug."""
MakeWatcher = Callable[[StoredCamera], Watcher]


class Supervisor:
    """One task for each camera; a camera that another process watches waits for its lease.

    Attributes:
        watchers: of the cameras that this process watches now, by name.
    """

    def __init__(
        self,
        cameras: CameraStore,
        reports: ReportStore,
        leases: Leases,
        make_watcher: MakeWatcher,
        classifier: FrameClassifier,
        metrics: CameraMetrics,
        budget: Budget,
        *,
        decoding_seconds: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
        look: float = LOOK_SECONDS,
    ) -> None:
        """Create the supervisor.

        Args:
            decoding_seconds: CPU time of the decoding processes so far.
            on_change: called when cameras were changed or removed, by any process.
            look: seconds between looks.
        """
        self._cameras, self._reports, self._leases = cameras, reports, leases
        self._make_watcher, self._classifier = make_watcher, classifier
        self._metrics, self._budget = metrics, budget
        self._decoding_seconds, self._look_seconds = decoding_seconds, look
        self._on_change = on_change
        self._tasks: dict[str, tuple[tuple[float, int], asyncio.Task[None]]] = {}
        self._headlines: dict[str, tuple[object, ...]] = {}
        self._measured: tuple[float, float] | None = None
        self._changed = asyncio.Event()
        self.watchers: dict[str, Watcher] = {}

    async def run(self) -> Never:
        """Follow the store until cancelled; then end all watchers."""
        try:
            while True:
                try:
                    await finish(self._look())
                except NotReady:
                    pass  # the database logs it; cameras go on as they are
                except Exception:  # noqa: BLE001 - cameras go on
                    get_logger("cameras").exception("supervisor failed: this is a bug")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), self._look_seconds)
                self._changed.clear()
        finally:
            await self._stop(*self._tasks)

    def nudge(self) -> None:
        """Look at the store at once: this process has changed it."""
        self._changed.set()

    async def _look(self) -> None:
        seen = {glance.name: glance for glance in await self._cameras.glance()}
        wanted = {name: (one.created, one.revision) for name, one in seen.items()}
        stale = [name for name, (key, _) in self._tasks.items() if wanted.get(name) != key]
        if stale:
            self._on_change()
        await self._stop(*stale)
        for name in wanted.keys() - self._tasks.keys():
            task = asyncio.create_task(self._watch(name), name=f"camera {name}")
            self._tasks[name] = wanted[name], task
        self._measure()
        for name, watcher in list(self.watchers.items()):
            if name in seen:
                await self._report(seen[name], watcher)

    async def _watch(self, name: str) -> None:
        """Watch a camera whenever this process holds its lease."""
        while True:
            try:
                camera = await self._cameras.get(name)
                if camera is None or camera.is_paused:
                    return
                async with self._leases.hold(f"camera:{name}"):
                    # Another process may have changed its state meanwhile.
                    camera = await self._cameras.get(name)
                    if camera is None or camera.is_paused:
                        return
                    watcher = self.watchers[name] = self._make_watcher(camera)
                    await watcher.run()
            except LeaseLost:
                continue
            except NotReady:
                await asyncio.sleep(self._look_seconds)
            except Exception:  # noqa: BLE001 - the other cameras go on
                get_logger("cameras").exception("watcher failed: this is a bug", camera=name)
                await asyncio.sleep(RESTART_SECONDS)
            finally:
                self._forget(name)

    def _forget(self, name: str) -> None:
        self._headlines.pop(name, None)
        self._budget.forget(name)
        if self.watchers.pop(name, None) is not None:
            self._metrics.end(name)

    async def _stop(self, *names: str) -> None:
        tasks = [self._tasks.pop(name)[1] for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _report(self, glance: Glance, watcher: Watcher) -> None:
        """Store the report of a camera if it is news, or if another process asks for it."""
        name, live, clock = glance.name, watcher.live, time.time()
        headline = live.headline
        if is_wanted(glance.wanted_until, clock) or self._headlines.get(name) != headline:
            await self._reports.write(name, live.report())
            self._headlines[name] = headline
        if is_wanted(glance.preview_wanted_until, clock) and live.frame and live.frame_at:
            with contextlib.suppress(ServiceError):  # the frame is no image: there is no preview
                image = await self._classifier.preview(name, live.frame.image)
                await self._reports.write_preview(name, Preview(image, live.frame_at))

    def _measure(self) -> None:
        """Count what the decoding processes took since the last look."""
        before, self._measured = self._measured, None
        cores = 0.0
        if self.watchers:
            at, seconds = self._measured = time.monotonic(), self._decoding_seconds()
            # The first look counts nothing: processes of cameras before are in the total.
            if before is not None and at > before[0]:
                cores = (seconds - before[1]) / (at - before[0])
        self._budget.note_decoding(cores)
        self._metrics.stretch.set(self._budget.stretch)
