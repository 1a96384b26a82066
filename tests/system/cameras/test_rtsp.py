"""A real RTSP server: frames, passwords, TLS, and a camera that is back within five seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.cameras import CameraFailure
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed, SourceSpec
from tests.support.cameras.gstreamer import GStreamerServer, gstreamer_server
from tests.support.cameras.processes import decoding_processes
from tests.support.cameras.rtsp_stub import State, relay
from tests.support.cameras.videos import size_of
from tests.support.cameras.watch import watched
from tests.support.proxies.certificates import self_signed

pytestmark = pytest.mark.anyio
BACK_WITHIN = 5.0
CAMERAS, ROUNDS = 5, 20


@pytest.fixture(scope="module")
def gstreamer() -> Iterator[GStreamerServer]:
    with gstreamer_server() as server:
        yield server


async def sizes(
    url: str, count: int, rules: SourceRules | None = None, **parameters: str
) -> list[tuple[int, int]]:
    spec = SourceSpec(url=url, **parameters)  # type: ignore[arg-type]
    async with open_source(spec, rules or SourceRules()) as frames:
        return [size_of((await anext(frames)).image) for _ in range(count)]


async def test_frames_arrive(gstreamer: GStreamerServer) -> None:
    assert await sizes(f"rtsp://127.0.0.1:{gstreamer.port}/cam", 3) == [(640, 360)] * 3


async def test_unknown_path_is_named(gstreamer: GStreamerServer) -> None:
    with pytest.raises(SourceFailed) as failed:
        await sizes(f"rtsp://127.0.0.1:{gstreamer.port}/other", 1)
    assert failed.value.reason is CameraFailure.HTTP_STATUS


async def test_password_by_digest() -> None:
    password = "p@ss:w/rd% ü"
    with gstreamer_server(user="us er", password=password) as server:
        url = f"rtsp://127.0.0.1:{server.port}/cam"
        assert await sizes(url, 1, username="us er", password=password)
        with pytest.raises(SourceFailed) as failed:
            await sizes(url, 1)
        assert failed.value.reason is CameraFailure.UNAUTHORIZED
        with pytest.raises(SourceFailed) as failed:
            await sizes(url, 1, username="us er", password="wrong")
        assert failed.value.reason is CameraFailure.UNAUTHORIZED


async def test_certificate_is_checked_against_the_name(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "camera")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate + (tmp_path / "key.pem").read_bytes())

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    trusting = SourceRules(ca_file=tmp_path / "cert.pem", resolve=resolve)
    with gstreamer_server(certificate=both) as server:
        url = f"rtsps://localhost:{server.port}/cam"
        assert await sizes(url, 1, trusting)
        for host, rules in (("localhost", SourceRules(resolve=resolve)), ("other.test", trusting)):
            with pytest.raises(SourceFailed, match="certificate") as failed:
                await sizes(f"rtsps://{host}:{server.port}/cam", 1, rules)
            assert failed.value.reason is CameraFailure.UNREACHABLE


@pytest.mark.slow
@pytest.mark.alone
async def test_server_that_is_killed_or_halted_is_back_within_five_seconds() -> None:
    with gstreamer_server() as server:
        spec = SourceSpec(url=f"rtsp://127.0.0.1:{server.port}/cam", timeout=2)
        async with watched(spec) as watch:
            await watch.seconds_to_a_frame()
            for _ in range(3):
                server.kill()
                await watch.failure()
                server.start()
                assert await watch.seconds_to_a_frame() < BACK_WITHIN
                server.stop()
                await watch.failure()
                server.go_on()
                assert await watch.seconds_to_a_frame() < BACK_WITHIN
    assert not decoding_processes()


@pytest.mark.slow
@pytest.mark.alone
async def test_camera_that_vanishes_and_half_opens_a_hundred_times_is_back_each_time(
    gstreamer: GStreamerServer,
) -> None:
    durations: list[float] = []

    async def suffer() -> None:
        async with relay(gstreamer.port) as camera:
            spec = SourceSpec(url=f"rtsp://127.0.0.1:{camera.port}/cam", timeout=2)
            async with watched(spec) as watch:
                await watch.seconds_to_a_frame()
                for count in range(ROUNDS):
                    camera.be(State.REFUSING if count % 4 == 3 else State.HALF_OPEN)
                    await watch.failure()
                    camera.be(State.UP)
                    durations.append(await watch.seconds_to_a_frame())

    await asyncio.gather(*(suffer() for _ in range(CAMERAS)))
    assert len(durations) == CAMERAS * ROUNDS
    assert max(durations) < BACK_WITHIN, sorted(durations)[-5:]
    assert not decoding_processes()
