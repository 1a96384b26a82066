"""States and events of cameras on an MQTT broker.

Retained messages are compared with what this connection published: only changes are sent, and
everything is sent again on a new connection. Events are sent with QoS 1 from the kept ones, so
a broker that is away costs no memory: what waits is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from observability.logs.logging import get_logger
from observability.metrics.result_metrics import OutputMetrics
from schemas.cameras import Camera, CameraEvent
from schemas.errors import NotReady
from service.cameras.results.discovery import Discovery
from service.cameras.results.ports import Cameras
from service.cameras.results.topics import Topics
from service.cameras.results.webhooks import EMPTY_SECONDS
from service.coordination.ports import Cursors, Events, OutputCursor
from service.mqtt.link import OFFLINE, ONLINE, BrokerAway, Link, Message, OpenLink
from service.retrying import Clock, backoff

NAME = "mqtt"
LONGEST_SECONDS = 60.0
"""Longest pause between attempts to connect."""
LOOK_SECONDS = 5.0
"""Between looks at the cameras, if there is no event."""
GOODBYE_SECONDS = 2.0
PAGE = 50
STABLE_SECONDS = 30.0
"""A connection that lasts so long ends the growing of pauses."""


class MqttOutput:
    """Publishes cameras and their events."""

    def __init__(
        self,
        open_link: OpenLink,
        *,
        topics: Topics,
        discovery: Discovery,
        events: Events[CameraEvent],
        cameras: Cameras,
        cursors: Cursors,
        metrics: OutputMetrics,
        max_waiting: int,
        clock: Clock | None = None,
    ) -> None:
        """Create the output; ``max_waiting`` bounds the events that wait for the broker."""
        self._open_link, self._topics, self._discovery = open_link, topics, discovery
        self._events, self._cameras, self._cursors = events, cameras, cursors
        self._metrics, self._max_waiting = metrics, max_waiting
        self._clock, self._log = clock or Clock(), get_logger("cameras")
        self._cursor = OutputCursor()
        self._published: dict[str, bytes] = {}
        self._found: set[str] = set()
        self._scores: dict[str, tuple[str | None, datetime | None, float | None]] = {}

    async def run(self) -> None:
        """Publish until cancelled. A new output begins with the events after its start."""
        failures = 0
        try:
            await self._begin()
            while True:
                try:
                    async with self._open_link() as link:
                        self._metrics.up(is_up=True)
                        self._log.info("mqtt connected")
                        began = self._clock.now()
                        try:
                            await self._serve(link)
                        finally:
                            # Two clients with the same topic end each other's connections.
                            if self._clock.now() - began >= STABLE_SECONDS:
                                failures = 0
                except BrokerAway as error:
                    self._metrics.up(is_up=False)
                    log = self._log.info if failures else self._log.warning
                    log("mqtt is not connected", reason=str(error))
                failures += 1
                with suppress(NotReady):
                    await self._bound_backlog()
                await self._clock.sleep(backoff(failures, LONGEST_SECONDS, self._clock.jitter))
        finally:
            self._metrics.up(is_up=False)
            self._metrics.backlog(0, None)

    async def _begin(self) -> None:
        while True:
            try:
                saved = await self._cursors.load(NAME)
                if saved is None:
                    saved = OutputCursor(event=await self._events.newest())
                    await self._cursors.save(NAME, saved)
            except NotReady:
                await self._clock.sleep(LOOK_SECONDS)
            else:
                self._cursor = saved
                return

    async def _serve(self, link: Link) -> None:
        """Publish until the connection ends; say at the end that Potoo is offline."""
        self._published, self._found = {}, set()
        await link.publish(Message(self._topics.status, ONLINE))
        try:
            while True:
                before = self._cursor
                try:
                    await self._bound_backlog()
                    await self._publish_changes(link)
                    await self._publish_events(link)
                except NotReady:
                    await self._clock.sleep(LOOK_SECONDS)
                else:
                    if self._cursor == before:
                        await self._clock.sleep(EMPTY_SECONDS)
                    await self._idle(link)
        finally:
            # A connection that is ended properly has no last will.
            with suppress(BrokerAway, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await link.publish(Message(self._topics.status, OFFLINE))

    async def _publish_changes(self, link: Link) -> None:
        """Publish the retained messages that changed, and remove those of cameras that are gone."""
        cameras = await self._cameras.list()
        for camera in cameras:
            for message in (*self._discovery.of_camera(camera), *self._of_camera(camera)):
                if self._published.get(message.topic) != message.payload:
                    await link.publish(message)
                    self._published[message.topic] = message.payload
        names = {camera.name for camera in cameras}
        self._scores = {name: kept for name, kept in self._scores.items() if name in names}
        # Of this connection, and of those before: a camera may be removed while Potoo is away.
        topics = {*self._published, *(link.retained_topics() - self._found)}
        self._found |= link.retained_topics()
        for name in sorted(self._topics.cameras_of(topics) - names):
            for topic in (*self._discovery.retained(name), *self._topics.retained(name)):
                await link.publish(Message(topic, b""))
                self._published.pop(topic, None)

    def _of_camera(self, camera: Camera) -> Iterable[Message]:
        """Return its messages, with the score that the state had when it began.

        The score of the newest answer differs with every frame: it would be published as often.
        """
        kept = self._scores.get(camera.name)
        if kept is None or kept[:2] != (camera.state, camera.since):
            score = camera.answer.score if camera.answer else None
            kept = self._scores[camera.name] = (camera.state, camera.since, score)
        return self._topics.of_camera(camera, kept[2])

    async def _publish_events(self, link: Link) -> None:
        """Publish the events that wait, oldest first."""
        while page := await self._events.after(self._cursor.event, PAGE):
            await self._report(page)
            try:
                for event in page:
                    await link.publish(self._topics.of_event(event))
                    self._metrics.count("delivered")
                    self._cursor = replace(self._cursor, event=event.id)
            finally:
                # If that fails, an event may come twice after a restart.
                with suppress(NotReady):
                    await self._cursors.save(NAME, self._cursor)
        self._metrics.backlog(0, None)

    async def _bound_backlog(self) -> None:
        """Drop the oldest of the events that wait, if there are too many."""
        last_dropped = await self._events.newest() - self._max_waiting
        dropped = 0
        while self._cursor.event < last_dropped:
            page = await self._events.after(self._cursor.event, PAGE)
            old = [event.id for event in page if event.id <= last_dropped]
            # Ids may have gaps.
            at = old[-1] if len(old) == PAGE else last_dropped
            self._cursor = replace(self._cursor, event=at, dead=self._cursor.dead + len(old))
            dropped += len(old)
        if dropped:
            self._metrics.count("dropped", dropped)
            self._log.warning("mqtt events dropped", events=dropped)
            await self._cursors.save(NAME, self._cursor)
        await self._report(await self._events.after(self._cursor.event, 1))

    async def _report(self, page: Sequence[CameraEvent]) -> None:
        """Show what waits in the metrics."""
        if not page:
            self._metrics.backlog(0, None)
            return
        waiting = await self._events.newest() - self._cursor.event
        self._metrics.backlog(max(waiting, 1), page[0].at.timestamp())

    async def _idle(self, link: Link) -> None:
        """Wait for an event, or until it is time to look at the cameras.

        Raises:
            BrokerAway: the connection ended meanwhile.
        """
        event = asyncio.ensure_future(self._events.wait(self._cursor.event, LOOK_SECONDS))
        lost = asyncio.ensure_future(link.lost())
        try:
            await asyncio.wait({event, lost}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise lost.result()
            await event
        finally:
            for task in (event, lost):
                task.cancel()
            await asyncio.gather(event, lost, return_exceptions=True)
