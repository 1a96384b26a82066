"""Answers and states of sensors as MQTT messages, from the kept answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from schemas.sensors import Sensor
from service.mqtt.discovery import Discovery
from service.mqtt.link import Message
from service.mqtt.output import Pace
from service.sensors.mqtt.topics import SensorTopics
from service.sensors.records import KeptAnswer

NAME = "mqtt:sensors"
PACE = Pace(page=500, together=500, look_seconds=2.0, save_seconds=1.0)
"""Thousands of answers a second. After a kill, those of a second may come again."""


class Sensors(Protocol):
    """The sensors as they are now."""

    async def list(self) -> Sequence[Sensor]:
        """Return all sensors, by name; raises ``NotReady``."""


class SensorMessages:
    """Messages that are published about sensors. Implements the port ``Devices``."""

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
