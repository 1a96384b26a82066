"""Discovery messages of Home Assistant: each camera is a device with a state and a problem sensor.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson

from schemas.cameras import Camera
from service.cameras.results.topics import Topics
from service.mqtt.link import OFFLINE, ONLINE, Message

MAKER = "Potoo"


class Discovery:
    """The discovery messages of one installation."""

    def __init__(self, prefix: str, topics: Topics, version: str) -> None:
        """Create it.

        Args:
            prefix: of Home Assistant's discovery topics; empty: there are no messages.
            topics: where states are published.
            version: of Potoo, shown with the device.
        """
        self._prefix, self._topics, self._version = prefix, topics, version
        self._installation = re.sub(r"[^A-Za-z0-9]", "_", topics.root)

    def of_camera(self, camera: Camera) -> Iterator[Message]:
        """Yield the retained messages that announce a camera."""
        if not self._prefix:
            return
        state, problem = self.retained(camera.name)
        yield Message(state, orjson.dumps(self._state_sensor(camera.name)))
        yield Message(problem, orjson.dumps(self._problem_sensor(camera.name)))

    def retained(self, camera: str) -> Iterable[str]:
        """Return the topics of a camera's messages: state sensor, problem sensor."""
        if not self._prefix:
            return ()
        node = self._node(camera)
        return (
            f"{self._prefix}/sensor/{node}/state/config",
            f"{self._prefix}/binary_sensor/{node}/problem/config",
        )

    def _node(self, camera: str) -> str:
        return f"{self._installation}_{camera}"

    def _state_sensor(self, camera: str) -> dict[str, object]:
        topics, node = self._topics, self._node(camera)
        return {
            **self._device(camera),
            "name": "State",
            "unique_id": f"{node}_state",
            "icon": "mdi:cctv",
            "state_topic": topics.state(camera),
            "value_template": "{{ value_json.state or 'unknown' }}",
            "json_attributes_topic": topics.state(camera),
            "availability": [_online(topics.status), _online(topics.availability(camera))],
            "availability_mode": "all",
        }

    def _problem_sensor(self, camera: str) -> dict[str, object]:
        topics, node = self._topics, self._node(camera)
        return {
            **self._device(camera),
            "name": "Problem",
            "unique_id": f"{node}_problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.problem(camera),
            "value_template": "{{ value_json.problem }}",
            "json_attributes_topic": topics.problem(camera),
            "availability": [_online(topics.status)],
        }

    def _device(self, camera: str) -> dict[str, object]:
        return {
            "device": {
                "identifiers": [self._node(camera)],
                "name": camera,
                "manufacturer": MAKER,
                "model": "Camera",
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
