"""Answers and states of sensors as MQTT messages, from the kept answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from schemas.errors import NotReady
from schemas.sensors import Sensor
from service.mqtt.discovery import Discovery
from service.mqtt.link import Message
from service.mqtt.output import Pace
from service.sensors.mqtt.topics import SensorTopics

NAME = "mqtt:sensors"
PACE = Pace(page=500, together=500, look_seconds=2.0, save_seconds=1.0)
"""Thousands of answers a second. After a kill, those of a second may come again."""
POLL_SECONDS = 1.0
"""Between looks for the answers of other processes."""


class KeptAnswer(NamedTuple):
    """A kept answer.

    Attributes:
        id: grows with time.
        answer: a ``SensorAnswer`` as JSON.
    """

    id: int
    sensor: str
    at: datetime
    answer: str


class KeptAnswers(Protocol):
    """The kept answers of all sensors. Both methods raise ``NotReady``."""

    async def after_of_all(self, cursor: int, limit: int) -> Sequence[KeptAnswer]:
        """Return answers with an id above the cursor, oldest first."""

    async def newest_id(self) -> int:
        """Return the id of the newest answer; 0 before the first."""


class AnswerFeed:
    """Kept answers, and waiting for the next one. Implements the port ``Events``."""

    def __init__(self, kept: KeptAnswers, *, poll: float = POLL_SECONDS) -> None:
        self._kept, self._poll = kept, poll
        self._stored = asyncio.Event()

    def announce(self) -> None:
        """Wake what waits: this process has stored answers."""
        self._stored.set()

    async def after(self, cursor: int, limit: int) -> Sequence[KeptAnswer]:
        """See ``KeptEvents.after``."""
        return await self._kept.after_of_all(cursor, limit)

    async def newest(self) -> int:
        """See ``KeptEvents.newest``."""
        return await self._kept.newest_id()

    async def wait(self, cursor: int, timeout: float) -> None:
        """Wait until there may be an answer above the cursor, at most ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while (left := until - loop.time()) > 0:
            self._stored.clear()
            try:
                if await self._kept.newest_id() > cursor:
                    return
            except NotReady:
                await asyncio.sleep(min(left, self._poll))
                continue
            try:
                async with asyncio.timeout(min(left, self._poll)):
                    await self._stored.wait()
            except TimeoutError:
                continue


class Sensors(Protocol):
    """The sensors as they are now."""

    async def list(self) -> Sequence[Sensor]:
        """Return all sensors, by name; raises ``NotReady``."""


class SensorMessages:
    """What is published about sensors. Implements the port ``Devices``."""

    def __init__(self, sensors: Sensors, topics: SensorTopics, discovery: Discovery) -> None:
        self._sensors, self._topics, self._discovery = sensors, topics, discovery
        self._scores: dict[str, tuple[str | None, datetime | None, float | None]] = {}

    async def messages(self) -> Mapping[str, Iterable[Message]]:
        """Return the retained messages of each sensor; see ``Devices``."""
        sensors = await self._sensors.list()
        names = {sensor.name for sensor in sensors}
        self._scores = {name: kept for name, kept in self._scores.items() if name in names}
        return {
            sensor.name: (*self._discovery.of_device(sensor.name), *self._of_sensor(sensor))
            for sensor in sensors
        }

    def names_of(self, topics: Iterable[str]) -> set[str]:
        """Return the sensors whose availability is among topics."""
        return self._topics.sensors_of(topics)

    def retained(self, name: str) -> Iterable[str]:
        """Return the topics of a sensor's retained messages; see ``Devices``."""
        return (*self._discovery.retained(name), *self._topics.retained(name))

    def of_event(self, event: KeptAnswer) -> Message:
        """Return the message of an answer."""
        topic = self._topics.result(event.sensor)
        return Message(topic, event.answer.encode(), is_retained=False)

    def _of_sensor(self, sensor: Sensor) -> Iterable[Message]:
        """Return its messages, with the score that the state had when it began."""
        kept = self._scores.get(sensor.name)
        if kept is None or kept[:2] != (sensor.state, sensor.since):
            score = sensor.answer.score if sensor.answer else None
            kept = self._scores[sensor.name] = (sensor.state, sensor.since, score)
        return self._topics.of_sensor(sensor, kept[2])
