"""Discovery messages of Home Assistant: a camera or sensor is a device with state and problem.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import orjson

from service.mqtt.link import OFFLINE, ONLINE, Message

MAKER = "Potoo"


class DeviceTopics(Protocol):
    """Where the states of devices are published.

    Attributes:
        root: first levels of all topics; unique ids are made of it.
        status: says whether Potoo is online.
    """

    root: str
    status: str

    def state(self, name: str, /) -> str:
        """Topic of the state as JSON with ``state``."""

    def availability(self, name: str, /) -> str:
        """Topic that says whether a device sends."""

    def problem(self, name: str, /) -> str:
        """Topic of JSON with ``problem``: ON or OFF."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of devices.

    Attributes:
        model: shown with the device.
        icon: of the state.
    """

    model: str
    icon: str


CAMERA = Kind("Camera", "mdi:cctv")
SENSOR = Kind("Sensor", "mdi:pulse")


class Discovery:
    """The discovery messages of one installation."""

    def __init__(
        self, prefix: str, topics: DeviceTopics, version: str, kind: Kind = CAMERA
    ) -> None:
        """Create it.

        Args:
            prefix: of Home Assistant's discovery topics; empty: there are no messages.
            topics: where states are published.
            version: of Potoo, shown with the device.
            kind: of the devices.
        """
        self._prefix, self._topics, self._version = prefix, topics, version
        self._kind = kind
        self._installation = re.sub(r"[^A-Za-z0-9]", "_", topics.root)

    def of_device(self, name: str) -> Iterator[Message]:
        """Yield the retained messages that announce a device."""
        if not self._prefix:
            return
        state, problem = self.retained(name)
        yield Message(state, orjson.dumps(self._state_sensor(name)))
        yield Message(problem, orjson.dumps(self._problem_sensor(name)))

    def retained(self, name: str) -> Iterable[str]:
        """Return the topics of a device's messages: state sensor, problem sensor."""
        if not self._prefix:
            return ()
        node = self._node(name)
        return (
            f"{self._prefix}/sensor/{node}/state/config",
            f"{self._prefix}/binary_sensor/{node}/problem/config",
        )

    def _node(self, name: str) -> str:
        return f"{self._installation}_{name}"

    def _state_sensor(self, name: str) -> dict[str, object]:
        topics, node = self._topics, self._node(name)
        return {
            **self._device(name),
            "name": "State",
            "unique_id": f"{node}_state",
            "icon": self._kind.icon,
            "state_topic": topics.state(name),
            "value_template": "{{ value_json.state or 'unknown' }}",
            "json_attributes_topic": topics.state(name),
            "availability": [_online(topics.status), _online(topics.availability(name))],
            "availability_mode": "all",
        }

    def _problem_sensor(self, name: str) -> dict[str, object]:
        topics, node = self._topics, self._node(name)
        return {
            **self._device(name),
            "name": "Problem",
            "unique_id": f"{node}_problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.problem(name),
            "value_template": "{{ value_json.problem }}",
            "json_attributes_topic": topics.problem(name),
            "availability": [_online(topics.status)],
        }

    def _device(self, name: str) -> dict[str, object]:
        return {
            "device": {
                "identifiers": [self._node(name)],
                "name": name,
                "manufacturer": MAKER,
                "model": self._kind.model,
                "sw_version": self._version,
            },
            "origin": {"name": MAKER, "sw_version": self._version},
            "qos": 1,
        }


def _online(topic: str) -> dict[str, str]:
    return {
        "topic": topic,
        "payload_available": ONLINE.decode(),
        "payload_not_available": OFFLINE.decode(),
    }
