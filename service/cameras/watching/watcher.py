"""Watches one camera: fetches frames, classifies those that matter, records changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Never

from observability.logs.logging import get_logger
from observability.metrics.camera_metrics import CameraMetrics
from schemas.cameras import CameraFailure
from schemas.errors import ServiceError
from service.cameras.pipeline.backoff import Backoff
from service.cameras.pipeline.budget import Budget
from service.cameras.pipeline.motion import MotionGate
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.store.cameras import StoredCamera
from service.cameras.store.credentials import CredentialsUnreadable, Login
from service.cameras.watching.classifying import FrameClassifier, failure_of, part_of
from service.cameras.watching.live import Live
from service.cameras.watching.recording import Recorder
from service.coordination.agreement import Agreement

TICK_SECONDS = 1.0
HANG_SECONDS = 30.0
"""A source without a frame for so long, beyond two intervals, is closed: it should have failed."""
Open = Callable[[SourceSpec], AbstractAsyncContextManager[AsyncIterator[Frame]]]


@dataclass(frozen=True, slots=True)
class Tools:
    """The objects that all watchers of a process share.

    Attributes:
        log_in: returns the login of a camera, or None. Raises ``CredentialsUnreadable``.
    """

    open: Open
    classifier: FrameClassifier
    log_in: Callable[[StoredCamera], Login | None]
    budget: Budget
    metrics: CameraMetrics
    max_bytes: int


class Watcher:
    """Watches one camera until it is cancelled."""

    def __init__(self, camera: StoredCamera, tools: Tools, recorder: Recorder) -> None:
        spec = camera.spec
        self._camera, self._name, self._spec = camera, camera.name, spec
        self._tools, self._recorder, self._metrics = tools, recorder, tools.metrics
        since = None if camera.since is None else datetime.fromtimestamp(camera.since, UTC)
        self.live = Live(state=camera.state, since=since, is_silent=camera.is_silent)
        self._agreement = Agreement(
            agree=spec.agree,
            of=spec.of,
            enter_score=spec.enter_score,
            leave_score=spec.leave_score,
            state=camera.state,
        )
        self._gate: MotionGate | None = None
        if spec.motion_threshold is not None:
            self._gate = MotionGate(
                threshold=spec.motion_threshold, still_seconds=spec.still_seconds, follow=spec.of
            )
        self._backoff = Backoff(random.random)
        self._seen = time.monotonic()
        self._log = get_logger("cameras").bind(camera=camera.name)

    async def run(self) -> Never:
        """Watch; does not return."""
        self._metrics.begin(self._name)
        self._show()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch())
            group.create_task(self._mind_silence())
        raise AssertionError  # neither task ends

    async def _fetch(self) -> Never:
        while True:
            try:
                await self._receive()
            except SourceFailed as error:
                pause = self._fail(error.reason, error.detail)
            except CredentialsUnreadable as error:
                pause = self._fail(CameraFailure.UNAUTHORIZED, str(error))
            except Exception:  # noqa: BLE001 - the camera is opened again
                self._log.exception("camera failed: this is a bug")
                pause = self._fail(CameraFailure.DECODER, "The source failed")
            await asyncio.sleep(pause)
            self._metrics.reconnects.labels(self._name).inc()

    async def _receive(self) -> None:
        """Open the source and take its frames until it fails.

        Raises:
            SourceFailed: also when the frames end.
            CredentialsUnreadable: see ``Tools.log_in``.
        """
        spec, login = self._spec, self._tools.log_in(self._camera)
        source = SourceSpec(
            url=spec.url,
            username=login.username if login else None,
            password=login.password if login else None,
            every_seconds=spec.every_seconds,
            part=part_of(spec),
            max_bytes=self._tools.max_bytes,
        )
        patience = HANG_SECONDS + 2 * spec.every_seconds
        hang = asyncio.timeout(patience)
        try:
            async with hang, self._tools.open(source) as frames:
                async for frame in frames:
                    hang.reschedule(None)
                    await self._take(frame)
                    hang.reschedule(asyncio.get_running_loop().time() + patience)
        except TimeoutError:
            if hang.expired():
                raise SourceFailed(CameraFailure.TIMEOUT, "The camera sends nothing") from None
            raise
        raise SourceFailed(CameraFailure.ENDED, "The stream ended")

    async def _take(self, frame: Frame) -> None:
        began, tools, name = time.monotonic(), self._tools, self._name
        if self.live.problem is not None and self._backoff.attempts:
            self._log.info("camera is back", attempts=self._backoff.attempts)
        self._backoff.reset()
        self._seen, self.live.is_silent = began, False
        received = self.live.take(frame)
        self._metrics.frames.labels(name).inc()
        self._metrics.last_frame.labels(name).set(received.timestamp())
        try:
            seconds = await self._classify(frame)
        except ServiceError as error:
            if reason := failure_of(error):
                self._note(reason, error.detail)
            if error.retry_after:
                await asyncio.sleep(min(error.retry_after, self._spec.every_seconds))
        else:
            tools.budget.note_frame(name, every=self._spec.every_seconds, cost=seconds)
        await self._sync()
        await self._keep_budget(began)

    async def _keep_budget(self, began: float) -> None:
        """Wait until the next frame is due, if the intervals are stretched.

        The factor is read again every second: it falls when other cameras are removed or paused,
        and the silence of this camera is measured against its present value.
        """
        while (stretch := self._tools.budget.stretch) > 1:
            left = began + self._spec.every_seconds * stretch - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, TICK_SECONDS))

    async def _classify(self, frame: Frame) -> float:
        """Classify a frame unless nothing moved; return the seconds of work."""
        spec, gate, tools = self._spec, self._gate, self._tools
        prepared = await tools.classifier.prepare(
            self._name, frame.image, spec.crop, has_gate=gate is not None
        )
        if gate is not None and prepared.grey is not None:
            settled = self._agreement.is_settled
            passes = gate.passes(prepared.grey, time.monotonic(), is_settled=settled)
            self.live.motion = gate.motion
            if not passes:
                return prepared.seconds
        found = await tools.classifier.classify(self._name, prepared.image, spec.model)
        if gate is not None and prepared.grey is not None:
            gate.classified(prepared.grey, time.monotonic())
        self._metrics.classified.labels(self._name).inc()
        self.live.take_answer(found.shown)
        if self._agreement.add(found.answer):
            self.live.state, self.live.since = self._agreement.state, datetime.now(UTC)
        return prepared.seconds + found.seconds

    async def _mind_silence(self) -> Never:
        spec = self._spec
        while True:
            await asyncio.sleep(TICK_SECONDS)
            wanted = spec.every_seconds * self._tools.budget.stretch
            if time.monotonic() - self._seen > max(spec.silent_after_seconds, 2 * wanted):
                self.live.is_silent = True
            await self._sync()

    async def _sync(self) -> None:
        """Record what changed, and show it in the metrics."""
        await self._recorder.sync(self.live, self._agreement.score)
        self._show()

    def _show(self) -> None:
        self._metrics.silent.labels(self._name).set(self.live.is_silent)
        if self.live.state is not None:
            self._metrics.set_state(self._name, self.live.state)

    def _fail(self, reason: CameraFailure, detail: str) -> float:
        """Note a failure of the source; return the pause before the next attempt."""
        self._note(reason, detail)
        return self._backoff.fail(reason)

    def _note(self, reason: CameraFailure, detail: str) -> None:
        before = self.live.problem
        self._metrics.failures.labels(self._name, reason).inc()
        self.live.fail(reason, detail)
        if before is None or before.reason is not reason:
            self._log.warning("camera gives no frame", reason=reason.value, detail=detail)
