"""MQTT topics and payloads of cameras: pure functions.

::

    <topic>/status                           online | offline (last will)
    <topic>/cameras/<name>/state             JSON
    <topic>/cameras/<name>/state/plain       the state alone
    <topic>/cameras/<name>/availability      online | offline
    <topic>/cameras/<name>/problem           JSON
    <topic>/cameras/<name>/event             JSON; the only one that is not retained
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from schemas.cameras import UNKNOWN, Camera, CameraEvent, CameraStatus
from service.mqtt.link import OFFLINE, ONLINE, Message


class Topics:
    """The topics of one installation."""

    def __init__(self, root: str) -> None:
        """Create the topics below ``root``: levels without wildcards, no slash at the ends."""
        self.root = root
        self.status = f"{root}/status"
        self.every_availability = self._of("+", "availability")
        """Filter that finds the cameras whose messages a broker retains."""

    def _of(self, camera: str, last: str) -> str:
        return f"{self.root}/cameras/{camera}/{last}"

    def state(self, camera: str) -> str:
        """Topic of the state as JSON."""
        return self._of(camera, "state")

    def plain_state(self, camera: str) -> str:
        """Topic of the state as text."""
        return self._of(camera, "state/plain")

    def availability(self, camera: str) -> str:
        """Topic that says whether frames arrive."""
        return self._of(camera, "availability")

    def problem(self, camera: str) -> str:
        """Topic that says why no frames arrive."""
        return self._of(camera, "problem")

    def event(self, camera: str) -> str:
        """Topic of events."""
        return self._of(camera, "event")

    def cameras_of(self, topics: Iterable[str]) -> set[str]:
        """Return the cameras whose availability is among topics."""
        before, after = self.every_availability.split("+")
        return {
            topic[len(before) : -len(after)]
            for topic in topics
            if topic.startswith(before) and topic.endswith(after)
        }

    def of_camera(self, camera: Camera, score: float | None) -> Iterator[Message]:
        """Yield the retained messages of a camera.

        Args:
            camera: as it is now.
            score: of its state, when that began.
        """
        name = camera.name
        yield Message(self.state(name), _state_json(camera, score))
        yield Message(self.plain_state(name), (camera.state or UNKNOWN).encode())
        is_watching = camera.status is CameraStatus.WATCHING
        yield Message(self.availability(name), ONLINE if is_watching else OFFLINE)
        yield Message(self.problem(name), _problem_json(camera))

    def retained(self, camera: str) -> Iterable[str]:
        """Return the topics whose retained messages a removed camera leaves."""
        return (
            self.state(camera),
            self.plain_state(camera),
            self.problem(camera),
            # Last: while it is retained, the others are found after a restart.
            self.availability(camera),
        )

    def of_event(self, event: CameraEvent) -> Message:
        """Return the message of an event."""
        payload = event.model_dump_json().encode()
        return Message(self.event(event.camera), payload, is_retained=False)


def _state_json(camera: Camera, score: float | None) -> bytes:
    """Encode what changes with the state; not what changes with every frame."""
    answer = camera.answer
    return orjson.dumps(
        {
            "camera": camera.name,
            "state": camera.state,
            "since": camera.since.isoformat() if camera.since else None,
            "score": score,
            "status": camera.status.value,
            "model": answer.model if answer else camera.spec.model,
            "version": answer.version if answer else None,
        }
    )


def _problem_json(camera: Camera) -> bytes:
    is_problem = camera.status is CameraStatus.SILENT or (
        camera.status is CameraStatus.STARTING and camera.problem is not None
    )
    reason = camera.problem.reason.value if is_problem and camera.problem else None
    return orjson.dumps({"problem": "ON" if is_problem else "OFF", "reason": reason})
