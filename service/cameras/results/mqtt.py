"""States and events of cameras on an MQTT broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from schemas.cameras import Camera, CameraEvent
from service.cameras.results.ports import Cameras
from service.cameras.results.topics import Topics
from service.mqtt.discovery import Discovery
from service.mqtt.link import Message

NAME = "mqtt"


class CameraMessages:
    """Messages that are published about cameras. Implements the port ``Devices``."""

    def __init__(self, cameras: Cameras, topics: Topics, discovery: Discovery) -> None:
        self._cameras, self._topics, self._discovery = cameras, topics, discovery
        self._scores: dict[str, tuple[str | None, datetime | None, float | None]] = {}

    async def messages(self) -> Mapping[str, Iterable[Message]]:
        """Return the retained messages of each camera; see ``Devices``."""
        cameras = await self._cameras.list()
        names = {camera.name for camera in cameras}
        self._scores = {name: kept for name, kept in self._scores.items() if name in names}
        return {
            camera.name: (*self._discovery.of_device(camera.name), *self._of_camera(camera))
            for camera in cameras
        }

    def names_of(self, topics: Iterable[str]) -> set[str]:
        """Return the cameras whose availability is among topics."""
        return self._topics.cameras_of(topics)

    def retained(self, name: str) -> Iterable[str]:
        """Return the topics of a camera's retained messages; see ``Devices``."""
        return (*self._discovery.retained(name), *self._topics.retained(name))

    def of_event(self, event: CameraEvent) -> Message:
        """Return the message of an event."""
        return self._topics.of_event(event)

    def _of_camera(self, camera: Camera) -> Iterable[Message]:
        """Return its messages, with the score that the state had when it began.

        The score of the newest answer differs with every frame: it would be published as often.
        """
        kept = self._scores.get(camera.name)
        if kept is None or kept[:2] != (camera.state, camera.since):
            score = camera.answer.score if camera.answer else None
            kept = self._scores[camera.name] = (camera.state, camera.since, score)
        return self._topics.of_camera(camera, kept[2])
