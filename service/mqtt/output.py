"""States and events of devices, cameras or sensors, on an MQTT broker.

Retained messages are compared with what this connection published: only changes are sent, and
everything is sent again on a new connection. Events are sent with QoS 1 from the kept ones, so
a broker that is away costs no memory: what waits is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from observability.logs.logging import get_logger
from observability.metrics.result_metrics import OutputMetrics
from schemas.errors import NotReady
from service.coordination.ports import Cursors, Events, OutputCursor
from service.coordination.retrying import Clock, backoff
from service.mqtt.link import OFFLINE, ONLINE, BrokerAway, Link, Message, OpenLink

LONGEST_SECONDS = 60.0
"""Longest pause between attempts to connect."""
LOOK_SECONDS = 5.0
"""Between looks at the devices, if there is no event."""
EMPTY_SECONDS = 0.2
GOODBYE_SECONDS = 2.0
STABLE_SECONDS = 30.0
"""A connection that lasts so long ends the growing of pauses."""


class Kept(Protocol):
    """An event that the store keeps."""

    @property
    def id(self) -> int:
        """Number that grows."""

    @property
    def at(self) -> datetime:
        """When it happened."""


Event = TypeVar("Event", bound=Kept)
Event_contra = TypeVar("Event_contra", contravariant=True)
Item = TypeVar("Item")


class Devices(Protocol[Event_contra]):
    """Messages that are published about devices."""

    async def messages(self) -> Mapping[str, Iterable[Message]]:
        """Return the retained messages of each device as it is now.

        Raises:
            NotReady: the store does not answer.
        """

    def names_of(self, topics: Iterable[str]) -> set[str]:
        """Return the devices whose availability is among topics."""

    def retained(self, name: str) -> Iterable[str]:
        """Return the topics whose retained messages a removed device leaves.

        The last one is its availability: while that is retained, the others are found after a
        restart.
        """

    def of_event(self, event: Event_contra) -> Message:
        """Return the message of an event."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is done at once.

    Attributes:
        page: events that are read at once.
        together: messages that are published before the first acknowledgement is waited for.
        look_seconds: between looks at the devices, and at how many events wait, while there are
            events, which do not wait for the looks; 0: a look before each page, which waits.
        save_seconds: between saves of the cursor while there are events; 0: after each page.
            After a kill, the events since then come again.
        gather_seconds: between reads of events, while there are few: each read has its price.
    """

    page: int = 50
    together: int = 1
    look_seconds: float = 0.0
    save_seconds: float = 0.0
    gather_seconds: float = 0.0


class Output(Generic[Event]):
    """Publishes devices and their events."""

    def __init__(
        self,
        name: str,
        open_link: OpenLink,
        *,
        status: str,
        devices: Devices[Event],
        events: Events[Event],
        cursors: Cursors,
        metrics: OutputMetrics,
        max_waiting: int,
        pace: Pace | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Create the output.

        Args:
            name: of the cursor.
            status: topic that says whether Potoo is online.
            max_waiting: bounds the events that wait for the broker.
        """
        self._name, self._open_link, self._status = name, open_link, status
        self._devices, self._events, self._cursors = devices, events, cursors
        self._metrics, self._max_waiting = metrics, max_waiting
        self._pace = pace or Pace()
        self._clock, self._log = clock or Clock(), get_logger("mqtt")
        self._cursor = self._saved = OutputCursor()
        self._saved_at = self._looked_at = 0.0
        self._looking: asyncio.Future[None] | None = None
        self._published: dict[str, bytes] = {}
        self._found: frozenset[str] = frozenset()
        self._known: set[str] = set()

    async def run(self) -> None:
        """Publish until cancelled. A new output begins with the events after its start."""
        failures = 0
        try:
            await self._begin()
            while True:
                try:
                    async with self._open_link() as link:
                        self._metrics.up(is_up=True)
                        self._log.info("mqtt connected", output=self._name)
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
                    log("mqtt is not connected", output=self._name, reason=str(error))
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
                saved = await self._cursors.load(self._name)
                if saved is None:
                    saved = OutputCursor(event=await self._events.newest())
                    await self._cursors.save(self._name, saved)
            except NotReady:
                await self._clock.sleep(LOOK_SECONDS)
            else:
                self._cursor = self._saved = saved
                return

    async def _serve(self, link: Link) -> None:
        """Publish until the connection ends; say at the end that Potoo is offline."""
        self._published, self._found, self._known = {}, frozenset(), set()
        self._looked_at = float("-inf")
        await link.publish(Message(self._status, ONLINE))
        try:
            while True:
                before = self._cursor
                try:
                    if self._clock.now() - self._looked_at >= self._pace.look_seconds:
                        await self._bound_backlog()
                        await self._look(link)
                        self._looked_at = self._clock.now()
                    await self._publish_events(link)
                except NotReady:
                    await self._clock.sleep(LOOK_SECONDS)
                else:
                    if self._cursor == before:
                        await self._save()
                        await self._clock.sleep(EMPTY_SECONDS)
                    await self._idle(link)
        finally:
            if self._looking is not None:
                self._looking.cancel()
            with suppress(NotReady, BrokerAway, asyncio.CancelledError):
                await self._end_look()
            with suppress(NotReady):
                await self._save()
            # A connection that is ended properly has no last will.
            with suppress(BrokerAway, TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await link.publish(Message(self._status, OFFLINE))

    async def _look(self, link: Link) -> None:
        """Look at the devices; events wait only for the first look, or if it is to come before."""
        await self._end_look()
        self._looking = asyncio.ensure_future(self._publish_changes(link))
        if not self._known or not self._pace.look_seconds:
            await self._end_look()

    async def _end_look(self) -> None:
        """Wait for the end of the last look; raises what it has raised."""
        looking, self._looking = self._looking, None
        if looking is not None:
            await looking

    async def _publish_changes(self, link: Link) -> None:
        """Publish the retained messages that changed, and remove those of devices that are gone."""
        devices = await self._devices.messages()
        changed = [
            message
            for messages in devices.values()
            for message in messages
            if self._published.get(message.topic) != message.payload
        ]
        for part in batched(changed, self._pace.together):
            await link.publish_all(part)
            self._published.update((message.topic, message.payload) for message in part)
        # Of this connection, and of those before: a device may be removed while Potoo is away.
        found = link.retained_topics()
        known = self._known | self._devices.names_of(found - self._found)
        self._found, self._known = self._found | found, set(devices)
        for name in sorted(known - devices.keys()):
            for topic in self._devices.retained(name):
                await link.publish(Message(topic, b""))
                self._published.pop(topic, None)

    async def _publish_events(self, link: Link) -> None:
        """Publish the events that wait, oldest first."""
        together = self._pace.together
        while page := await self._events.after(self._cursor.event, self._pace.page):
            await self._report(page)
            try:
                for part in batched(page, together):
                    await link.publish_all([self._devices.of_event(event) for event in part])
                    self._metrics.count("delivered", len(part))
                    self._cursor = replace(self._cursor, event=part[-1].id)
            finally:
                # If that fails, events may come twice after a restart.
                if self._clock.now() - self._saved_at >= self._pace.save_seconds:
                    with suppress(NotReady):
                        await self._save()
            if self._clock.now() - self._looked_at >= (self._pace.look_seconds or LOOK_SECONDS):
                return  # to look at the devices
            if self._pace.gather_seconds and len(page) < self._pace.page:
                await self._clock.sleep(self._pace.gather_seconds)
        self._metrics.backlog(0, None)

    async def _save(self) -> None:
        if self._cursor != self._saved:
            cursor = self._cursor
            await self._cursors.save(self._name, cursor)
            self._saved, self._saved_at = cursor, self._clock.now()

    async def _bound_backlog(self) -> None:
        """Drop the oldest of the events that wait, if there are too many."""
        newest = await self._events.newest()
        last_dropped = newest - self._max_waiting
        dropped = 0
        while self._cursor.event < last_dropped:
            page = await self._events.after(self._cursor.event, self._pace.page)
            old = [event.id for event in page if event.id <= last_dropped]
            # Ids may have gaps.
            at = old[-1] if len(old) == self._pace.page else last_dropped
            self._cursor = replace(self._cursor, event=at, dead=self._cursor.dead + len(old))
            dropped += len(old)
        if dropped:
            self._metrics.count("dropped", dropped)
            self._log.warning("mqtt events dropped", output=self._name, events=dropped)
            await self._save()
        if self._cursor.event == newest:
            self._metrics.backlog(0, None)
            return
        await self._report(await self._events.after(self._cursor.event, self._pace.page))

    async def _report(self, page: Sequence[Event]) -> None:
        """Show what waits in the metrics."""
        if not page:
            self._metrics.backlog(0, None)
            return
        waiting = len(page)
        if waiting == self._pace.page:  # perhaps there are more
            waiting = await self._events.newest() - self._cursor.event
        self._metrics.backlog(max(waiting, 1), page[0].at.timestamp())

    async def _idle(self, link: Link) -> None:
        """Wait for an event, or until it is time to look at the devices.

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


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield parts of at most ``size`` items."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
