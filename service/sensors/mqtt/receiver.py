"""Samples of all sensors from one subscription: routing, acknowledging, connecting again."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Protocol

from observability.logs.logging import get_logger
from service.coordination.retrying import Clock, backoff
from service.mqtt.link import BrokerAway
from service.sensors.ingest.ports import Intake
from service.sensors.mqtt.feed import Fate, Feed, FeedTools
from service.sensors.mqtt.messages import MessageQueue, MessageTools, SpecOf
from service.sensors.mqtt.payloads import epoch_of
from service.sensors.mqtt.subscription import Delivery, Take
from service.sensors.mqtt.topics import SensorTopics, Stream

LONGEST_SECONDS = 5.0
"""Between connections: samples wait meanwhile, and devices may have little room for them."""
STABLE_SECONDS = 30.0
MAX_FEEDS = 20_000
MAX_REFUSED = 4096
"""Topics whose refusal is remembered."""
MAX_RECENT = 4096
"""Acknowledged messages that are remembered: the broker may not have seen the acknowledgement."""
LOG_SECONDS = 10.0
BLOCKING = 8
"""Messages that are not acknowledged; with fewer, every broker sends further ones."""
QUIET_SECONDS = 0.02


class Connection(Protocol):
    """A subscription as the receiver needs it."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that it may forget these messages."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish with QoS 0: topics and payloads."""

    async def lost(self) -> BrokerAway:
        """Wait until the connection ended; return why."""


OpenConnection = Callable[[Take], AbstractAsyncContextManager[Connection]]


class Receiver:
    """Passes messages of a subscription on to the intake.

    A message that is sent again on a new connection is recognised by its packet identifier, while
    this process lives: an unnumbered one is not counted twice because a connection ended.
    """

    def __init__(
        self,
        open_connection: OpenConnection,
        intake: Intake,
        topics: SensorTopics,
        *,
        names: Callable[[str], Sequence[str]],
        count: Callable[[str, int], None],
        up: Callable[[bool], None],
        max_frame_bytes: int,
        shared_specs: SpecOf | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Create the receiver.

        Args:
            open_connection: subscribes; raises ``BrokerAway``.
            names: of the channels of a model, for line protocol.
            count: counts messages by outcome.
            up: called with whether there is a connection.
            max_frame_bytes: of a message.
            shared_specs: for a shared subscription: the configuration of a sensor.
        """
        self._open_connection, self._topics = open_connection, topics
        self._stream_of = lru_cache(MAX_FEEDS)(topics.stream_of)
        self._count, self._up = count, up
        self._clock, self._log = clock or Clock(), get_logger("sensors")
        self._tools = FeedTools(
            intake,
            self._acknowledge,
            self._note,
            self._note_fate,
            names,
            max_frame_bytes,
            self._clock,
        )
        self._messages = shared_specs and MessageTools(
            intake, shared_specs, self._acknowledge, self._note_fate, names, self._clock
        )
        self._queues: dict[str, MessageQueue] = {}
        self._connection: Connection | None = None
        self._feeds: dict[Stream, Feed] = {}
        self._refused: dict[Stream, float] = {}
        self._held: dict[int, Delivery] = {}
        self._recent: deque[Delivery] = deque(maxlen=MAX_RECENT)
        self._before: Mapping[int, Delivery] = {}
        self._acknowledged: list[Delivery] = []
        self._owing: dict[Feed, None] = {}
        self._is_flushing = self._is_watching = False
        self._taken_at = 0.0
        self._fates: Counter[Fate] = Counter()
        self._logged_at = float("-inf")

    async def run(self) -> None:
        """Receive until cancelled."""
        failures = 0
        try:
            while True:
                began = self._clock.now()
                try:
                    async with self._open_connection(self.take) as connection:
                        self._up(True)  # noqa: FBT003 - a callback
                        self._log.info("mqtt subscribed")
                        self._begin(connection)
                        reason = await self._serve(connection)
                except BrokerAway as error:
                    reason = error
                self._connection = None
                self._up(False)  # noqa: FBT003
                log = self._log.info if failures else self._log.warning
                log("mqtt subscription ended", reason=str(reason))
                if self._clock.now() - began >= STABLE_SECONDS:
                    failures = 0
                failures += 1
                await self._clock.sleep(backoff(failures, LONGEST_SECONDS, self._clock.jitter))
        finally:
            self._connection = None
            self._up(False)  # noqa: FBT003

    async def _serve(self, connection: Connection) -> BrokerAway:
        try:
            return await connection.lost()
        except asyncio.CancelledError:
            closing = [feed.close() for feed in self._feeds.values()]
            closing += [queue.close() for queue in self._queues.values()]
            await asyncio.gather(*closing, return_exceptions=True)
            self._feeds.clear()
            self._queues.clear()
            self._flush()
            raise

    def _begin(self, connection: Connection) -> None:
        recent = {one.mid: one for one in self._recent}
        self._before, self._held = recent | self._held, {}
        self._recent.clear()
        self._acknowledged.clear()
        self._connection = connection
        if self._owing:
            self._flush_soon()

    def take(self, deliveries: list[Delivery]) -> None:
        """Take messages that arrived."""
        self._count("received", len(deliveries))
        for delivery in deliveries:
            if delivery.is_again and self._is_known(delivery):
                continue
            if delivery.qos:
                self._held[delivery.mid] = delivery
            self._route(delivery)
        self._taken_at = asyncio.get_running_loop().time()
        if len(self._held) >= BLOCKING and not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(QUIET_SECONDS, self._watch)

    def _watch(self) -> None:
        """Release messages that wait for others, if the broker sends none.

        It may have reached its limit of messages that are not acknowledged, which is its secret:
        it need not send as many as Receive Maximum allows (mosquitto: 20, for all sensors).
        """
        self._is_watching = False
        if self._connection is None or len(self._held) < BLOCKING:
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._taken_at >= QUIET_SECONDS:
            for feed in list(self._feeds.values()):
                feed.release_tail()
        if len(self._held) >= BLOCKING:
            self._is_watching = True
            loop.call_later(QUIET_SECONDS, self._watch)

    def _is_known(self, delivery: Delivery) -> bool:
        """Return whether a message is one that arrived on the connection before."""
        old = self._before.get(delivery.mid)
        if old is None or (old.topic, old.size) != (delivery.topic, delivery.size):
            return False
        if old.is_done:
            self._held[delivery.mid] = delivery
            self._acknowledge(delivery)
        else:
            old.connection = delivery.connection
            self._held[delivery.mid] = old
        return True

    def _route(self, delivery: Delivery) -> None:
        stream = self._stream_of(delivery.topic)
        if stream is None:
            self._note_fate(delivery.topic, "unknown", "the topic has no sensor or no epoch")
            self._acknowledge(delivery)
            return
        if self._messages and not stream.is_framed:
            if (queue := self._queues.get(stream.sensor)) is None:
                queue = MessageQueue(stream.sensor, self._messages, self._end_queue)
                self._queues[stream.sensor] = queue
            queue.take(delivery)
            return
        if not stream.is_framed and (epoch := epoch_of(delivery.payload)) is not None:
            stream = Stream(stream.sensor, epoch)
        feed = self._feeds.get(stream)
        if feed is None:
            until = self._refused.get(stream, 0.0)
            if until > self._clock.now() or len(self._feeds) >= MAX_FEEDS:
                self._note_fate(stream.sensor, "refused", "it was refused a moment ago")
                self._acknowledge(delivery)
                return
            feed = self._feeds[stream] = Feed(stream, self._tools, self._end)
        feed.take(delivery)

    def _end(self, feed: Feed) -> None:
        self._feeds.pop(feed.stream, None)
        if feed.refused_until:
            while len(self._refused) >= MAX_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[feed.stream] = feed.refused_until

    def _end_queue(self, queue: MessageQueue) -> None:
        self._queues.pop(queue.sensor, None)

    def _acknowledge(self, delivery: Delivery) -> None:
        if delivery.is_done:
            return
        delivery.is_done, delivery.payload = True, b""
        if delivery.qos:
            if self._held.get(delivery.mid) is not delivery:
                return  # of a connection that ended
            del self._held[delivery.mid]
            self._recent.append(delivery)
        elif delivery.connection is not self._connection:
            return
        self._acknowledged.append(delivery)
        self._flush_soon()

    def _note(self, feed: Feed) -> None:
        self._owing[feed] = None
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._connection is None:  # what is owed is sent on the next one
            return
        acknowledged, self._acknowledged = self._acknowledged, []
        owing, self._owing = self._owing, {}
        if acknowledged:
            self._connection.acknowledge(acknowledged)
        messages = []
        for feed in owing:
            frames, epoch = feed.frames(), feed.stream.epoch
            if frames and epoch is not None:
                messages.append((self._topics.acknowledgement(feed.stream.sensor, epoch), frames))
        if messages:
            self._connection.send(messages)

    def _note_fate(self, sensor: str, fate: Fate, detail: str) -> None:
        """Count a message that was not taken, and log some."""
        self._count(fate, 1)
        self._fates[fate] += 1
        now = self._clock.now()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            self._log.warning(
                "mqtt messages not taken",
                sensor=sensor[:200],
                reason=detail,
                messages=dict(self._fates),
            )
            self._fates.clear()
