"""MQTT topics and payloads of sensors: pure functions.

::

    <topic>/sensors/status                   online | offline (last will)
    <topic>/sensors/<name>/data              samples, from devices
    <topic>/sensors/<name>/data/<epoch>      frames with DATA or PING, from devices
    <topic>/sensors/<name>/ack/<epoch>       frames with ACK or ERROR, to devices
    <topic>/sensors/<name>/result            JSON of an answer
    <topic>/sensors/<name>/state             JSON, retained
    <topic>/sensors/<name>/state/plain       the state alone, retained
    <topic>/sensors/<name>/availability      online | offline, retained
    <topic>/sensors/<name>/problem           JSON, retained
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from schemas.cameras import UNKNOWN
from schemas.sensors import MAX_EPOCH, SENSOR_NAME_PATTERN, Sensor, SensorStatus
from service.mqtt.link import OFFLINE, ONLINE, Message

_EPOCH = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(SENSOR_NAME_PATTERN)


class Stream(NamedTuple):
    """Where samples come from.

    Attributes:
        epoch: chosen by the device; None: it has none.
        is_framed: whether messages hold frames.
    """

    sensor: str
    epoch: int | None = None
    is_framed: bool = False


class SensorTopics:
    """The topics of one installation."""

    def __init__(self, prefix: str) -> None:
        """``prefix``: the setting ``mqtt.topic``."""
        self.root = f"{prefix}/sensors"
        self.status = f"{self.root}/status"
        self.every_availability = self._of("+", "availability")
        self.every_data = self._of("+", "data")
        """Filter of messages without frames."""
        self.every_framed = self._of("+", "data/+")
        """Filter of messages with frames."""
        self._before = f"{self.root}/"

    def _of(self, sensor: str, last: str) -> str:
        return f"{self.root}/{sensor}/{last}"

    def stream_of(self, topic: str) -> Stream | None:
        """Return where a message comes from; None if the topic is not one of data."""
        if not topic.startswith(self._before):
            return None
        parts = topic[len(self._before) :].split("/")
        if len(parts) < 2 or parts[1] != "data" or not _NAME.fullmatch(parts[0]):
            return None
        if len(parts) == 2:
            return Stream(parts[0])
        if len(parts) > 3 or not _EPOCH.fullmatch(parts[2]) or int(parts[2]) > MAX_EPOCH:
            return None
        return Stream(parts[0], int(parts[2]), is_framed=True)

    def acknowledgement(self, sensor: str, epoch: int) -> str:
        """Topic of frames to the device."""
        return self._of(sensor, f"ack/{epoch}")

    def result(self, sensor: str) -> str:
        """Topic of answers."""
        return self._of(sensor, "result")

    def state(self, sensor: str) -> str:
        """Topic of the state as JSON."""
        return self._of(sensor, "state")

    def plain_state(self, sensor: str) -> str:
        """Topic of the state as text."""
        return self._of(sensor, "state/plain")

    def availability(self, sensor: str) -> str:
        """Topic that says whether samples arrive."""
        return self._of(sensor, "availability")

    def problem(self, sensor: str) -> str:
        """Topic that says whether samples stopped."""
        return self._of(sensor, "problem")

    def sensors_of(self, topics: Iterable[str]) -> set[str]:
        """Return the sensors whose availability is among topics."""
        before, after = self.every_availability.split("+")
        return {
            topic[len(before) : -len(after)]
            for topic in topics
            if topic.startswith(before) and topic.endswith(after)
        }

    def of_sensor(self, sensor: Sensor, score: float | None) -> Iterator[Message]:
        """Yield the retained messages of a sensor.

        Args:
            sensor: as it is now.
            score: of its state, when that began.
        """
        name = sensor.name
        yield Message(self.state(name), _state_json(sensor, score))
        yield Message(self.plain_state(name), (sensor.state or UNKNOWN).encode())
        is_receiving = sensor.status is SensorStatus.RECEIVING
        yield Message(self.availability(name), ONLINE if is_receiving else OFFLINE)
        yield Message(self.problem(name), _problem_json(sensor))

    def retained(self, sensor: str) -> Iterable[str]:
        """Return the topics whose retained messages a removed sensor leaves."""
        return (
            self.state(sensor),
            self.plain_state(sensor),
            self.problem(sensor),
            # Last: while it is retained, the others are found after a restart.
            self.availability(sensor),
        )


def _state_json(sensor: Sensor, score: float | None) -> bytes:
    """Encode what changes with the state; not what changes with every window."""
    answer = sensor.answer
    return orjson.dumps(
        {
            "sensor": sensor.name,
            "state": sensor.state,
            "since": sensor.since.isoformat() if sensor.since else None,
            "score": score,
            "status": sensor.status.value,
            "model": answer.model if answer else sensor.spec.model,
            "version": answer.version if answer else None,
        }
    )


def _problem_json(sensor: Sensor) -> bytes:
    is_problem = sensor.status is SensorStatus.SILENT or sensor.fault is not None
    reason = sensor.fault.value if sensor.fault else None
    if sensor.status is SensorStatus.SILENT:
        reason = "silent"
    return orjson.dumps({"problem": "ON" if is_problem else "OFF", "reason": reason})
