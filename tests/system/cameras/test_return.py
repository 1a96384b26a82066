"""Cameras that vanish and half-open a hundred times are back within five seconds each time.

They are watched with the settings that are shipped. Most are HTTP cameras, which cost little; some
vanishings are those of a real RTSP server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.cameras.sources.silence import BACK_SECONDS
from tests.support.cameras.gstreamer import gstreamer_server
from tests.support.cameras.http_camera import (
    Answer,
    endless,
    http_camera,
    mjpeg,
    parts,
    picture,
    responding,
)
from tests.support.cameras.processes import decoding_processes
from tests.support.cameras.rtsp_stub import Relay, State, relay
from tests.support.cameras.watch import Watch, Watching, watching

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.alone]

Absence = Callable[[Relay, Watch], Awaitable[None]]


async def half_opens_and_returns_at_once(camera: Relay, _watch: Watch) -> None:
    """Lose what was asked just before the return: the longest wait for a time-out."""
    camera.be(State.HALF_OPEN)
    await camera.held.wait()


async def half_opens_until_a_failure(camera: Relay, watch: Watch) -> None:
    """Return when the pause after a time-out begins."""
    camera.be(State.HALF_OPEN)
    await watch.fails()


async def half_opens_for_long(camera: Relay, watch: Watch) -> None:
    camera.be(State.HALF_OPEN)
    await watch.fails(2)


async def refuses_until_a_failure(camera: Relay, watch: Watch) -> None:
    camera.be(State.REFUSING)
    await watch.fails()


async def refuses_for_long(camera: Relay, watch: Watch) -> None:
    """Return when the longest pause begins."""
    camera.be(State.REFUSING)
    await watch.fails(4)


ABSENCES: tuple[Absence, ...] = (
    half_opens_and_returns_at_once,
    half_opens_until_a_failure,
    half_opens_for_long,
    refuses_until_a_failure,
    refuses_for_long,
)
RTSP_ABSENCES = ABSENCES[0], ABSENCES[1], ABSENCES[3]
SNAPSHOT = responding(picture(), headers="Content-Type: image/jpeg\r\n")
CAMERAS: tuple[Answer, ...] = (SNAPSHOT, endless(mjpeg(), parts(picture()), 0.2)) * 9


class Durations:
    """Seconds from the return of a camera to its next frame."""

    def __init__(self, watching: Watching) -> None:
        self._watching, self._seconds = watching, dict[str, float]()

    async def of_http(self, name: str, answer: Answer) -> None:
        async with http_camera(answer) as camera:
            await self._suffer(name, f"http://127.0.0.1:%d/{name}", camera.port, ABSENCES)

    async def of_rtsp(self, name: str, port: int) -> None:
        await self._suffer(name, "rtsp://127.0.0.1:%d/cam", port, RTSP_ABSENCES)

    async def _suffer(
        self, name: str, url: str, target: int, absences: tuple[Absence, ...]
    ) -> None:
        async with relay(target) as camera:
            watch = await self._watching.watch(name, url % camera.port)
            await watch.seconds_to_a_frame()
            for absence in absences:
                await absence(camera, watch)
                camera.be(State.UP)
                await self.note(f"{name} {absence.__name__}", watch)

    async def note(self, what: str, watch: Watch) -> None:
        """Measure a return that happens now."""
        self._seconds[what] = await watch.seconds_to_a_frame()

    def check(self, count: int) -> None:
        slowest = sorted(self._seconds.items(), key=lambda one: -one[1])[:5]
        assert slowest[0][1] < BACK_SECONDS, slowest
        assert len(self._seconds) == count


async def test_cameras_are_back_a_hundred_times(tmp_path: Path) -> None:
    with gstreamer_server() as server:
        async with watching(tmp_path) as watched:
            durations = Durations(watched)
            async with asyncio.TaskGroup() as group:
                for number, answer in enumerate(CAMERAS):
                    group.create_task(durations.of_http(f"http-{number}", answer))
                for number in range(2):
                    group.create_task(durations.of_rtsp(f"rtsp-{number}", server.port))
            # The server itself, killed and halted.
            url = f"rtsp://127.0.0.1:{server.port}/cam"
            watch = await watched.watch("server", url)
            await watch.seconds_to_a_frame()
            for count in range(2):
                server.kill()
                await watch.fails()
                server.start()
                await durations.note(f"killed {count}", watch)
                server.stop()
                await watch.fails()
                server.go_on()
                await durations.note(f"halted {count}", watch)
    durations.check(100)
    assert not decoding_processes()
