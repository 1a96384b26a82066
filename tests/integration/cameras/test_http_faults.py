"""HTTP cameras that misbehave, over real sockets: each failure is named, and nothing grows."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import struct

import pytest

from schemas.cameras import CameraFailure
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from tests.support.cameras.http_camera import (
    Answer,
    basic,
    digest,
    endless,
    http_camera,
    mjpeg,
    parts,
    picture,
    responding,
    sending,
    silent,
)

pytestmark = pytest.mark.anyio
MAX_BYTES = 2**20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
SECRET = "p@ss word"


async def first_frame(url: str, **parameters: str) -> Frame:
    spec = SourceSpec(url=url, timeout=0.4, max_bytes=MAX_BYTES, **parameters)  # type: ignore[arg-type]
    async with open_source(spec, SourceRules()) as frames:
        return await anext(frames)


async def failure(answer: Answer, **parameters: str) -> SourceFailed:
    async with http_camera(answer) as camera:
        with pytest.raises(SourceFailed) as failed:
            await first_frame(camera.url("/a.jpg?token=SECRET"), **parameters)
    assert "SECRET" not in str(failed.value)
    assert SECRET not in str(failed.value)
    return failed.value


ANSWERS: dict[str, tuple[Answer, CameraFailure]] = {
    "a web page": (
        responding(b"<!doctype html>", headers="Content-Type: image/jpeg\r\n"),
        CameraFailure.NOT_AN_IMAGE,
    ),
    "nothing": (responding(b""), CameraFailure.NOT_AN_IMAGE),
    "gzip": (
        responding(gzip.compress(bytes(10**8)), headers="Content-Encoding: gzip\r\n"),
        CameraFailure.NOT_AN_IMAGE,
    ),
    "gzip without saying so": (
        responding(gzip.compress(bytes(10**6))),
        CameraFailure.NOT_AN_IMAGE,
    ),
    "not found": (responding(b"", "404 Not Found"), CameraFailure.HTTP_STATUS),
    "forbidden": (responding(b"", "403 Forbidden"), CameraFailure.HTTP_STATUS),
    "busy": (responding(b"", "503 Busy"), CameraFailure.HTTP_STATUS),
    "unauthorized": (responding(b"", "401 Unauthorized"), CameraFailure.UNAUTHORIZED),
    "a redirect to nowhere": (responding(b"", "302 Found"), CameraFailure.HTTP_STATUS),
    "100 MB": (silent(HEAD + b"Content-Length: 100000000\r\n\r\n"), CameraFailure.TOO_LARGE),
    "no HTTP": (sending(b"RTSP/1.0 400 Bad Request\r\n\r\n"), CameraFailure.NOT_AN_IMAGE),
    "a closed connection": (sending(b""), CameraFailure.ENDED),
    "half a header": (sending(b"HTTP/1.1 200 OK\r\nContent-"), CameraFailure.ENDED),
    "half an image": (
        sending(HEAD + b"Content-Length: 999\r\n\r\n\xff\xd8\xff"),
        CameraFailure.ENDED,
    ),
    "half an image in chunks": (
        sending(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\n\xff\xd8\xff\r\n"),
        CameraFailure.ENDED,
    ),
    "half an image without length": (sending(HEAD + b"\r\n\xff\xd8\xff"), CameraFailure.ENDED),
    "silence": (silent(), CameraFailure.TIMEOUT),
    "silence after the header": (silent(HEAD + b"\r\n"), CameraFailure.TIMEOUT),
    "a byte at a time": (endless(HEAD + b"\r\n\xff\xd8\xff", b"x", 0.05), CameraFailure.TIMEOUT),
    "an endless header": (endless(HEAD, b"X", 0.05), CameraFailure.TIMEOUT),
    "a large header": (endless(HEAD, b"X" * 9999), CameraFailure.NOT_AN_IMAGE),
    "motion JPEG without boundary": (
        sending(mjpeg(picture(), header="x=y")),
        CameraFailure.NOT_AN_IMAGE,
    ),
    "motion HTML": (sending(mjpeg(b"<html>", picture())), CameraFailure.NOT_AN_IMAGE),
    "motion JPEG that ends": (sending(mjpeg(b"")), CameraFailure.ENDED),
    "motion JPEG that closes": (sending(mjpeg() + b"--b--\r\n"), CameraFailure.ENDED),
    "motion JPEG that is silent": (silent(mjpeg()), CameraFailure.TIMEOUT),
    "motion JPEG a byte at a time": (endless(mjpeg(), b"x", 0.05), CameraFailure.TIMEOUT),
    "a large part": (
        silent(mjpeg() + b"--b\r\nContent-Length: 99999999\r\n\r\n"),
        CameraFailure.TOO_LARGE,
    ),
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.values(), ids=ANSWERS)
async def test_bad_answers_are_named(answer: Answer, reason: CameraFailure) -> None:
    failed = await failure(answer)
    assert failed.reason is reason, failed.detail


@pytest.mark.parametrize(
    "head",
    [HEAD + b"\r\n\xff\xd8\xff", mjpeg() + b"--b\r\n\r\n\xff\xd8\xff"],
    ids=["snapshot", "motion JPEG"],
)
async def test_endless_body_is_cut_at_the_limit(head: bytes) -> None:
    async with http_camera(endless(head, bytes(65536))) as camera:
        with pytest.raises(SourceFailed) as failed:
            await first_frame(camera.url())
        await camera.gone.wait()
    assert failed.value.reason is CameraFailure.TOO_LARGE
    # The data in the buffers of both sockets was sent too.
    assert camera.sent < 16 * MAX_BYTES


@pytest.mark.parametrize("status", ["401 No", "404 No", "302 No"])
async def test_body_of_a_refusal_is_not_read(status: str) -> None:
    headers = "WWW-Authenticate: Digest realm=a, nonce=b\r\nContent-Encoding: gzip\r\n"
    head = f"HTTP/1.1 {status}\r\n{headers}\r\n".encode()
    async with http_camera(endless(head, bytes(65536))) as camera:
        with pytest.raises(SourceFailed):
            await first_frame(camera.url(), username="user", password=SECRET)
        await camera.gone.wait()
    assert camera.sent < 32 * MAX_BYTES


async def test_nothing_listens() -> None:
    async with http_camera(silent()) as camera:
        pass
    with pytest.raises(SourceFailed) as failed:
        await first_frame(camera.url())
    assert failed.value.reason is CameraFailure.UNREACHABLE


@pytest.mark.parametrize("ask", [basic, digest])
async def test_wrong_password(ask: type) -> None:
    answer = ask("user", "right", responding(picture()))
    failed = await failure(answer, username="user", password=SECRET)
    assert failed.reason is CameraFailure.UNAUTHORIZED


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest nonsense",
        "Digest realm=a",
        'Digest realm="a", nonce="b", algorithm=ROT13',
        'Digest realm="a", nonce="b", qop="auth-int"',
        "Negotiate",
        "",
    ],
)
async def test_challenge_that_cannot_be_answered(challenge: str) -> None:
    answer = responding(b"", "401 No", f"WWW-Authenticate: {challenge}\r\n")
    failed = await failure(answer, username="user", password=SECRET)
    assert failed.reason is CameraFailure.UNAUTHORIZED


async def test_logs_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with http_camera(digest("user", SECRET, responding(picture()))) as camera:
        await first_frame(camera.url("/a?token=TOKEN"), username="user", password=SECRET)
    failed = await failure(responding(b"", "401 No"), username="user", password=SECRET)
    logged = caplog.text + failed.detail
    for secret in (SECRET, "TOKEN", "dXNlcjpw", "cnonce"):
        assert secret not in logged


async def test_size_and_format_may_change() -> None:
    images = [picture(size=(64, 48)), picture(size=(640, 480)), picture(kind="PNG")]
    answers = iter(images)

    async def changing(camera: object, headers: object, writer: asyncio.StreamWriter) -> None:
        await responding(next(answers))(camera, headers, writer)  # type: ignore[arg-type]

    async with http_camera(changing) as camera:
        spec = SourceSpec(url=camera.url(), every_seconds=0.01)
        async with open_source(spec, SourceRules()) as frames:
            assert [(await anext(frames)).image for _ in images] == images

    shown = asyncio.Event()

    async def stream(_camera: object, _headers: object, writer: asyncio.StreamWriter) -> None:
        writer.write(mjpeg())
        for image in images:
            writer.write(parts(image) + b"--b")
            await writer.drain()
            await shown.wait()
            shown.clear()
            writer.write(b"\r\n\r\n\r\n")

    async with http_camera(stream) as camera:
        spec = SourceSpec(url=camera.url(), every_seconds=0.01)
        async with open_source(spec, SourceRules()) as frames:
            for image in images:
                assert (await anext(frames)).image == image
                shown.set()


async def test_newest_frame_wins_over_a_slow_consumer() -> None:
    images = [picture(size=(8 + number, 8)) for number in range(200)]
    sent = asyncio.Event()

    async def stream(_camera: object, _headers: object, writer: asyncio.StreamWriter) -> None:
        writer.write(mjpeg(images[0]) + b"--b")
        for image in images[1:]:
            writer.write(b"\r\n\r\n" + image + b"\r\n--b")
            await writer.drain()
        sent.set()
        await asyncio.Event().wait()

    async with http_camera(stream) as camera:
        spec = SourceSpec(url=camera.url(), every_seconds=0.01)
        async with open_source(spec, SourceRules()) as frames:
            seen = [(await anext(frames)).image]
            await sent.wait()
            while seen[-1] != images[-1]:
                seen.append((await anext(frames)).image)
    places = [images.index(image) for image in seen]
    assert places == sorted(places)
    assert len(seen) < len(images) / 2


async def test_camera_that_closes_at_once_is_named_each_time() -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for _ in range(50):
            with pytest.raises(SourceFailed) as failed:
                await first_frame(f"http://127.0.0.1:{port}/a.jpg")
            assert failed.value.reason in {CameraFailure.ENDED, CameraFailure.UNREACHABLE}
