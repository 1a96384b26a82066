"""Delivery of camera events to one webhook: each event once, in order, repeated until acknowledged.

The cursor is saved after an acknowledgement and before the next event is sent. A process that is
killed between the two sends that one event again, with the same ``webhook-id``: no sender can close
this window, but a receiver that remembers ids can.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from observability.logs.logging import get_logger
from observability.metrics.result_metrics import OutputMetrics
from schemas.cameras import CameraEvent
from schemas.errors import NotReady
from service.cameras.results.sending import NotSent, Sender
from service.cameras.results.signing import Signer
from service.coordination.ports import Cursors, Events, OutputCursor
from service.coordination.retrying import LONGEST_RETRY_AFTER, Clock, backoff

GONE = 410
PAGE = 50
IDLE_SECONDS = 60.0
EMPTY_SECONDS = 0.2
STORE_SECONDS = 30.0
"""Longest pause while the store does not answer."""
SAVE_SECONDS = 3.0
"""To save the cursor of an acknowledged event, although the output is being stopped."""

Result = TypeVar("Result")


class TargetGone(Exception):
    """The receiver answered 410: it wants no more events."""


def output_name(url: str) -> str:
    """Return the name of a target's cursor: no part of the URL, which may hold a secret."""
    return f"webhook:{hashlib.sha256(url.encode()).hexdigest()[:16]}"


class WebhookOutput:
    """Sends the events to one URL."""

    def __init__(
        self,
        url: str,
        *,
        signer: Signer,
        sender: Sender,
        events: Events[CameraEvent],
        cursors: Cursors,
        metrics: OutputMetrics,
        attempts: int,
        clock: Clock | None = None,
    ) -> None:
        """Create the output.

        Args:
            url: of the receiver.
            attempts: after which an event is given up.
        """
        self._url, self._signer, self._sender = url, signer, sender
        self._events, self._cursors, self._metrics = events, cursors, metrics
        self._attempts, self._clock = attempts, clock or Clock()
        self._name, self._is_failing = output_name(url), False
        # Paths and queries of webhooks often hold a token.
        self._log = get_logger("cameras").bind(target=_shown(url))

    async def run(self) -> None:
        """Deliver until cancelled, or until the receiver answers 410.

        A new output begins with the events that come after its start.
        """
        try:
            await self._deliver_all()
        except asyncio.CancelledError:
            self._metrics.backlog(0, None)  # another process tells what waits
            raise

    async def _deliver_all(self) -> None:
        cursor = await self._begin()
        is_empty = False
        while True:
            was_empty = is_empty
            page = await self._store(partial(self._events.after, cursor.event, PAGE))
            await self._report(page[0] if page else None, cursor)
            for event in page:
                try:
                    cursor = await self._deliver(event, cursor)
                except TargetGone:
                    self._metrics.count("gone")
                    self._log.error("webhook is gone; sending stops until the next start")
                    return
            is_empty = not page
            if is_empty:
                if was_empty:  # the event that was waited for may have gone with its camera
                    await self._clock.sleep(EMPTY_SECONDS)
                await self._store(partial(self._events.wait, cursor.event, IDLE_SECONDS))

    async def _begin(self) -> OutputCursor:
        cursor = await self._store(partial(self._cursors.load, self._name))
        if cursor is None:
            cursor = OutputCursor(event=await self._store(self._events.newest))
            await self._save(cursor)
        return cursor

    async def _deliver(self, event: CameraEvent, cursor: OutputCursor) -> OutputCursor:
        """Send an event until it is acknowledged or given up; return the saved cursor behind it."""
        while True:
            wait = cursor.next_attempt - self._clock.now()
            if wait > 0:
                # Bounded, because the clock may have been set back.
                await self._clock.sleep(min(wait, LONGEST_RETRY_AFTER))
            reason, pause = await self._attempt(event)
            if reason is None:
                self._delivered()
                done = OutputCursor(event.id, dead=cursor.dead)
                await _finish(self._save(done))
                return done
            failed = cursor.attempts + 1
            if failed >= self._attempts:
                self._metrics.count("dead")
                self._log.error("webhook event given up", event_id=event.id, reason=reason)
                done = OutputCursor(event.id, dead=cursor.dead + 1)
                await self._save(done)
                return done
            wait = backoff(failed, jitter=self._clock.jitter) if pause is None else pause
            cursor = replace(cursor, attempts=failed, next_attempt=self._clock.now() + wait)
            self._failed(event, failed, reason, wait)
            with suppress(NotReady):  # a restart then repeats the event earlier
                await self._cursors.save(self._name, cursor)
            await self._report(event, cursor)

    async def _attempt(self, event: CameraEvent) -> tuple[str | None, float | None]:
        """Send an event once; return why it failed (None if not), and the pause asked for."""
        signed = self._signer.sign(event, self._clock.now())
        try:
            reply = await self._sender.post(self._url, signed.headers, signed.body)
        except NotSent as error:
            return str(error), None
        if 200 <= reply.status < 300:
            return None, None
        if reply.status == GONE:
            raise TargetGone
        return f"status {reply.status}", reply.retry_after

    def _delivered(self) -> None:
        self._metrics.count("delivered")
        if self._is_failing:
            self._is_failing = False
            self._log.info("webhook delivers again")

    def _failed(self, event: CameraEvent, attempts: int, reason: str, wait: float) -> None:
        self._metrics.count("failed")
        log = self._log.info if self._is_failing else self._log.warning
        self._is_failing = True
        log(
            "webhook failed",
            event_id=event.id,
            attempts=attempts,
            reason=reason,
            retry_in_seconds=round(wait, 1),
        )

    async def _report(self, event: CameraEvent | None, cursor: OutputCursor) -> None:
        """Show what waits in the metrics; ``event`` is the first of it."""
        if event is None:
            self._metrics.backlog(0, None)
            return
        try:
            newest = await self._events.newest()
        except NotReady:
            return
        self._metrics.backlog(max(newest - cursor.event, 1), event.at.timestamp())

    async def _save(self, cursor: OutputCursor) -> None:
        await self._store(partial(self._cursors.save, self._name, cursor))

    async def _store(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Use the store until it answers: nothing may be sent that cannot be recorded."""
        failures = 0
        while True:
            try:
                return await work()
            except NotReady:
                failures += 1
                await self._clock.sleep(backoff(failures, STORE_SECONDS, self._clock.jitter))


async def _finish(work: Coroutine[object, object, None]) -> None:
    """Await ``work``; if this task is cancelled meanwhile, give the work a moment to end first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=SAVE_SECONDS)
        task.cancel()
        raise


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
