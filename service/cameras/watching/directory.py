"""Cameras as callers see them, whichever process watches them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from schemas.cameras import Camera, CameraStatus, SourceKind
from service.cameras.store.cameras import CameraStore, StoredCamera
from service.cameras.store.reports import CameraReport, Preview, ReportStore
from service.cameras.watching.classifying import FrameClassifier
from service.cameras.watching.live import Live
from service.cameras.watching.watcher import Watcher

FRESH_SECONDS = 10.0
"""A preview of another process is shown at once if it is no older than this, or two intervals."""
WAIT_SECONDS = 5.0
"""For another process to write a preview; it looks every two seconds."""
AGAIN_SECONDS = 0.25
_KINDS = {"https": SourceKind.HTTP, "rtsps": SourceKind.RTSP}


class Directory:
    """All cameras; implements the port ``Cameras``. Its methods raise ``NotReady``."""

    def __init__(
        self,
        cameras: CameraStore,
        reports: ReportStore,
        watchers: Mapping[str, Watcher] | None = None,
        classifier: FrameClassifier | None = None,
        *,
        is_asking: bool = True,
    ) -> None:
        """Show cameras.

        Args:
            watchers: of this process, by name; the supervisor changes it.
            classifier: needed with ``watchers``.
            is_asking: ask other processes for fresh reports, which they write to the store every
                two seconds then; without it a report is as old as the last change of its headline.
        """
        self._cameras, self._reports = cameras, reports
        self._watchers = {} if watchers is None else watchers
        self._classifier, self._is_asking = classifier, is_asking
        self._previews: dict[str, tuple[float, Preview]] = {}

    async def list(self) -> Sequence[Camera]:
        """Return all cameras, by name."""
        return await self._shown(await self._cameras.all())

    async def get(self, name: str) -> Camera | None:
        """Return one camera, or None."""
        stored = await self._cameras.get(name)
        return None if stored is None else (await self._shown([stored]))[0]

    async def frame(self, camera: Camera) -> Preview | None:
        """Return the last frame as a small JPEG; None before the first.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge: the last frame is no image.
        """
        watcher = self._watchers.get(camera.name)
        if watcher is not None:
            return await self._own_frame(camera.name, watcher.live)
        ends_at = time.monotonic() + WAIT_SECONDS
        age = max(FRESH_SECONDS, 2 * camera.spec.every_seconds)
        while True:
            found = await self._reports.preview(camera.name)
            if found is not None and (datetime.now(UTC) - found.at).total_seconds() < age:
                return found
            if camera.status is not CameraStatus.WATCHING or time.monotonic() > ends_at:
                return found
            await asyncio.sleep(AGAIN_SECONDS)

    async def _own_frame(self, name: str, live: Live) -> Preview | None:
        frame, at = live.frame, live.frame_at
        if frame is None or at is None or self._classifier is None:
            return None
        made = self._previews.get(name)
        if made is None or made[0] != frame.at:  # several people may look at it
            self._previews = {
                one: kept for one, kept in self._previews.items() if one in self._watchers
            }
            image = await self._classifier.preview(name, frame.image)
            made = self._previews[name] = frame.at, Preview(image, at)
        return made[1]

    async def _shown(self, cameras: Sequence[StoredCamera]) -> Sequence[Camera]:
        others = [one.name for one in cameras if one.name not in self._watchers]
        reports: Mapping[str, CameraReport] = {}
        if others:
            reports = await self._reports.of(others, is_asking=self._is_asking)
        return [self._one(camera, reports) for camera in cameras]

    def _one(self, camera: StoredCamera, reports: Mapping[str, CameraReport]) -> Camera:
        watcher = self._watchers.get(camera.name)
        since = None if camera.since is None else datetime.fromtimestamp(camera.since, UTC)
        if watcher is not None and not camera.is_paused:
            report = watcher.live.report()
        else:
            report = reports.get(camera.name, CameraReport())
            changes = {"state": camera.state, "since": since}
            if camera.is_paused:
                changes |= {"status": CameraStatus.PAUSED, "problem": None}
            report = report.model_copy(update=changes)
        return Camera(
            name=camera.name,
            kind=kind_of(camera.spec.url),
            spec=camera.spec,
            has_credentials=bool(camera.credentials or camera.spec.secret),
            **dict(report),
        )


def kind_of(url: str) -> SourceKind:
    """Return how the frames of a stored URL are fetched."""
    scheme = url.partition(":")[0].lower()
    return _KINDS.get(scheme) or SourceKind(scheme)
