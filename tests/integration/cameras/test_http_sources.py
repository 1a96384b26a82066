"""HTTP cameras: passwords, redirects, addresses, certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from schemas.cameras import CameraFailure, SourceKind
from service.cameras.sources.opening import check_source, open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from tests.support.cameras.http_camera import (
    Answer,
    HttpCamera,
    basic,
    digest,
    http_camera,
    picture,
    responding,
)
from tests.support.proxies.certificates import self_signed

pytestmark = pytest.mark.anyio
IMAGE = picture()
METADATA = "http://169.254.169.254/latest/meta-data/"


class Names:
    """A resolver with a few names, which counts questions."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._addresses.get(host.partition(".")[0], [host])


async def frames_of(
    url: str, rules: SourceRules | None = None, count: int = 1, **parameters: str
) -> list[Frame]:
    spec = SourceSpec(url=url, every_seconds=0.01, timeout=2, **parameters)  # type: ignore[arg-type]
    async with open_source(spec, rules or SourceRules()) as frames:
        return [await anext(frames) for _ in range(count)]


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(IMAGE), IMAGE))
    writer.close()


def redirecting(location: str) -> Answer:
    return responding(b"", "302 Found", f"Location: {location}\r\n")


async def test_basic_password_goes_out_only_when_asked_for() -> None:
    async with http_camera(basic("user", "pass", responding(IMAGE))) as camera:
        frames = await frames_of(camera.url(), count=3, username="user", password="pass")
    assert [frame.image for frame in frames] == [IMAGE] * 3
    sent = ["authorization" in headers for headers in camera.headers]
    assert sent == [False, True, True, True]

    async with http_camera(responding(IMAGE)) as camera:
        await frames_of(camera.url(), username="user", password="pass")
    assert "authorization" not in camera.headers[0]


async def test_digest_is_preferred_and_its_challenge_is_kept() -> None:
    both = 'WWW-Authenticate: Basic realm="cam"\r\n'
    async with http_camera(digest("user", "pass", responding(IMAGE), also=both)) as camera:
        frames = await frames_of(camera.url("/a?b=c"), count=3, username="user", password="pass")
    assert len(frames) == 3
    sent = [headers.get("authorization", "")[:6] for headers in camera.headers]
    assert sent == ["", "Digest", "Digest", "Digest"]


async def test_camera_that_offered_digest_gets_no_password_by_basic() -> None:
    inner = digest("user", "pass", responding(IMAGE))
    later = responding(b"", "401 No", 'WWW-Authenticate: Basic realm="cam"\r\n')

    async def answer(camera: HttpCamera, headers: dict[str, str], writer: object) -> None:
        chosen = inner if len(camera.headers) <= 2 else later
        await chosen(camera, headers, writer)  # type: ignore[arg-type]

    async with http_camera(answer) as camera:
        with pytest.raises(SourceFailed) as failed:
            await frames_of(camera.url(), count=2, username="user", password="pass")
    assert failed.value.reason is CameraFailure.UNAUTHORIZED
    assert not any("Basic" in headers.get("authorization", "") for headers in camera.headers)


async def test_redirect_on_the_same_host_keeps_the_password() -> None:
    async def answer(camera: HttpCamera, headers: dict[str, str], writer: object) -> None:
        target = camera.targets[-1]
        inner = responding(IMAGE) if target == "/new.jpg" else redirecting("/new.jpg")
        await basic("user", "pass", inner)(camera, headers, writer)  # type: ignore[arg-type]

    async with http_camera(answer) as camera:
        assert await frames_of(camera.url(), username="user", password="pass")
    assert "authorization" in camera.headers[-1]


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"], ids=["other host", "other port"])
async def test_redirect_elsewhere_loses_the_password(host: str) -> None:
    rules = SourceRules(resolve=Names(other=["127.0.0.1"]))
    async with http_camera(basic("user", "pass", responding(IMAGE))) as other:
        location = f"http://user:pass@{host}:{other.port}/x"
        async with http_camera(basic("user", "pass", redirecting(location))) as camera:
            with pytest.raises(SourceFailed) as failed:
                await frames_of(camera.url(), rules, username="user", password="pass")
    assert failed.value.reason is CameraFailure.UNAUTHORIZED
    assert len(other.headers) == 1
    assert "authorization" not in other.headers[0]


@pytest.mark.parametrize(
    "location",
    [
        METADATA,
        "http://[::ffff:a9fe:a9fe]/",
        "http://0xa9fea9fe/",
        "http://meta.test/",
        "http://8.8.8.8/",
    ],
)
async def test_redirect_to_a_refused_address(location: str) -> None:
    names = Names(meta=["169.254.169.254"], **{"0xa9fea9fe": ["169.254.169.254"]})
    async with http_camera(redirecting(location)) as camera:
        with pytest.raises(SourceFailed) as failed:
            await frames_of(camera.url(), SourceRules(resolve=names))
    assert failed.value.reason is CameraFailure.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "rtsp://127.0.0.1/"]
)
async def test_redirect_to_another_protocol(location: str) -> None:
    async with http_camera(redirecting(location)) as camera:
        with pytest.raises(SourceFailed) as failed:
            await frames_of(camera.url())
    assert failed.value.reason in {CameraFailure.HTTP_STATUS, CameraFailure.ADDRESS_REFUSED}


async def test_redirects_end_after_three() -> None:
    async with http_camera(redirecting("/again")) as camera:
        with pytest.raises(SourceFailed) as failed:
            await frames_of(camera.url())
    assert failed.value.reason is CameraFailure.HTTP_STATUS
    assert len(camera.targets) == 4


async def test_name_is_resolved_once_and_that_address_is_used() -> None:
    names = Names(camera=["127.0.0.1"])
    async with http_camera(responding(IMAGE)) as camera:
        url = camera.url(host="camera.test")
        assert await frames_of(url, SourceRules(resolve=names))
    assert names.asked == ["camera.test"]
    assert camera.headers[0]["host"] == f"camera.test:{camera.port}"


async def test_missing_file_of_authorities_is_named(tmp_path: Path) -> None:
    rules = SourceRules(ca_file=tmp_path / "none.pem")
    async with http_camera(responding(IMAGE)) as camera:
        with pytest.raises(SourceFailed, match="ca_file"):
            await frames_of(camera.url(scheme="https"), rules)


async def test_second_address_is_tried() -> None:
    # Nothing listens at the first one.
    names = Names(camera=["127.0.0.1", "127.0.0.2", "::1"])
    async with await asyncio.start_server(answer_once, "::1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await frames_of(f"http://camera.test:{port}/", SourceRules(resolve=names))


async def test_refused_address_is_not_connected_to() -> None:
    async with http_camera(responding(IMAGE)) as camera:
        rules = SourceRules(networks=[ip_network("10.0.0.0/8")])
        with pytest.raises(SourceFailed) as failed:
            await frames_of(camera.url(), rules)
    assert failed.value.reason is CameraFailure.ADDRESS_REFUSED
    assert not camera.targets


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_camera(responding(b"proxy")) as proxy, http_camera(responding(IMAGE)) as camera:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        monkeypatch.setenv("no_proxy", "")
        assert await frames_of(camera.url())
    assert not proxy.targets


async def test_certificate_is_checked_against_the_name(tmp_path: Path) -> None:
    self_signed(tmp_path, "camera")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    seen: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: seen.append(name)
    names = Names(localhost=["127.0.0.1"], other=["127.0.0.1"])
    trusting = SourceRules(ca_file=tmp_path / "cert.pem", resolve=names)
    async with http_camera(responding(IMAGE), tls) as camera:
        url = camera.url(host="localhost", scheme="https")
        assert await frames_of(url, trusting)
        assert seen == ["localhost"]
        for bad, rules in (
            (url, SourceRules(resolve=names)),
            (camera.url(host="other.test", scheme="https"), trusting),
        ):
            with pytest.raises(SourceFailed, match="certificate") as failed:
                await frames_of(bad, rules)
            assert failed.value.reason is CameraFailure.UNREACHABLE


async def test_camera_without_tls() -> None:
    def greet(_reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SourceFailed, match="TLS") as failed:
            await frames_of(f"https://127.0.0.1:{port}/")
    assert failed.value.reason is CameraFailure.UNREACHABLE


async def test_check_without_connecting(tmp_path: Path) -> None:
    rules = SourceRules(files_dir=tmp_path)
    assert await check_source("http://127.0.0.1/x", rules) is SourceKind.HTTP
    assert await check_source("rtsp://no-such-host.invalid/", rules) is SourceKind.RTSP
    assert await check_source(f"file://{tmp_path}/later.mp4", rules) is SourceKind.FILE
    assert await check_source("usb:0", rules) is SourceKind.USB
    for url in (METADATA, "http://8.8.8.8/", "file:///etc/passwd", "usb:x", "ftp://127.0.0.1/"):
        with pytest.raises(SourceFailed):
            await check_source(url, rules)
