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
from service.sensors.records import KeptAnswer, Mark

NAME = "mqtt:sensors"
PACE = Pace(page=500, together=500, look_seconds=2.0, save_seconds=1.0, gather_seconds=0.01)
"""Thousands of answers a second. After a kill, those of a second may come again."""
TOGETHER = 50
"""Sensors that are read at once: the event loop waits for them."""


class Sensors(Protocol):
    """The sensors as they are now. Both methods raise ``NotReady``."""

    async def marks(self) -> Mapping[str, Mark]:
        """Return a mark of every sensor, by name: it differs when a retained message may."""

    async def some(self, names: Sequence[str]) -> Sequence[Sensor]:
        """Return those of these sensors that there are, by name."""


class SensorMessages:
    """Messages that are published about sensors. Implements the port ``Devices``."""

    def __init__(self, sensors: Sensors, topics: SensorTopics, discovery: Discovery) -> None:
        self._sensors, self._topics, self._discovery = sensors, topics, discovery
        self._scores: dict[str, tuple[str | None, datetime | None, float | None]] = {}
        self._made: dict[str, tuple[Mark, tuple[Message, ...]]] = {}

    async def messages(self) -> Mapping[str, Iterable[Message]]:
        """Return the retained messages of each sensor; see ``Devices``.

        Those of sensors that did not change are kept: to make thousands takes long.
        """
        marks, made = await self._sensors.marks(), self._made
        for name in made.keys() - marks.keys():
            del made[name]
            self._scores.pop(name, None)
        changed = [
            name
            for name, mark in marks.items()
            if mark is None or (known := made.get(name)) is None or known[0] != mark
        ]
        for begin in range(0, len(changed), TOGETHER):
            for sensor in await self._sensors.some(changed[begin : begin + TOGETHER]):
                messages = *self._discovery.of_device(sensor.name), *self._of_sensor(sensor)
                made[sensor.name] = marks[sensor.name], messages
        return {name: messages for name, (_, messages) in made.items()}

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
