"""A real RTSP server: frames, passwords, TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.cameras import CameraFailure
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed, SourceSpec
from tests.support.cameras.gstreamer import GStreamerServer, gstreamer_server
from tests.support.cameras.videos import size_of
from tests.support.proxies.certificates import self_signed

pytestmark = pytest.mark.anyio


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
