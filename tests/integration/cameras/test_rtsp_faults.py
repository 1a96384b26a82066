"""RTSP cameras that misbehave, played by a stub: what FFmpeg would hang on, or follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas.cameras import CameraFailure
from service.cameras.sources.opening import open_source
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed, SourceSpec
from tests.support.cameras.processes import decoding_processes
from tests.support.cameras.rtsp_stub import Reply, rtsp_stub

pytestmark = pytest.mark.anyio
OK = b"RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"


async def failure(
    url: str, rules: SourceRules | None = None, *, timeout: float = 1, **parameters: str
) -> SourceFailed:
    spec = SourceSpec(url=url, timeout=timeout, **parameters)  # type: ignore[arg-type]
    with pytest.raises(SourceFailed) as failed:
        async with open_source(spec, rules or SourceRules()) as frames:
            await anext(frames)
    return failed.value


def describing(answer: bytes | None) -> Reply:
    """Answer ``OPTIONS`` well, and everything else with this."""
    return lambda request: OK if request.startswith("OPTIONS") else answer


def status(line: str, headers: str = "") -> bytes:
    return f"RTSP/1.0 {line}\r\nCSeq: CSEQ\r\n{headers}\r\n".encode()


CASES: dict[str, tuple[Reply, CameraFailure]] = {
    "silence": (lambda _: None, CameraFailure.TIMEOUT),
    "a closed connection": (lambda _: b"", CameraFailure.ENDED),
    "HTTP": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", CameraFailure.NOT_AN_IMAGE),
    "silence after OPTIONS": (describing(None), CameraFailure.TIMEOUT),
    "not found": (describing(status("404 Not Found")), CameraFailure.HTTP_STATUS),
    "busy": (describing(status("503 Service Unavailable")), CameraFailure.HTTP_STATUS),
    "unauthorized": (
        describing(status("401 No", 'WWW-Authenticate: Basic realm="x"\r\n')),
        CameraFailure.UNAUTHORIZED,
    ),
}


@pytest.mark.parametrize(("reply", "reason"), CASES.values(), ids=CASES)
async def test_bad_answers_are_named(reply: Reply, reason: CameraFailure) -> None:
    async with rtsp_stub(reply) as stub:
        failed = await failure(stub.url("/cam?token=SECRET"), username="user", password="p@ss")
    assert failed.reason is reason, failed.detail
    assert "SECRET" not in failed.detail
    assert "p@ss" not in failed.detail


async def test_nothing_listens_and_no_process_is_started() -> None:
    async with rtsp_stub(lambda _: None) as stub:
        pass
    assert (await failure(stub.url())).reason is CameraFailure.UNREACHABLE


async def test_camera_that_is_back_is_asked_on_a_new_connection() -> None:
    connections = iter(["silent"])
    answer = describing(status("404 Not Found"))

    def reply(request: str) -> bytes | None:
        return None if next(connections, "") == "silent" else answer(request)

    async with rtsp_stub(reply) as stub:
        failed = await failure(stub.url(), timeout=20)
    assert failed.reason is CameraFailure.HTTP_STATUS


def redirecting(location: str) -> Reply:
    return describing(status("302 Found", f"Location: {location}\r\n"))


@pytest.mark.parametrize(
    "location",
    ["rtsp://169.254.169.254/x", "rtsp://8.8.8.8/x", "rtsp://meta.test:80/", "http://127.0.0.1/"],
)
async def test_redirect_to_a_refused_address_is_not_followed(location: str) -> None:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        return ["169.254.169.254"] if host == "meta.test" else [host]

    async with rtsp_stub(redirecting(location)) as stub:
        failed = await failure(stub.url(), SourceRules(resolve=resolve))
    assert failed.reason is CameraFailure.ADDRESS_REFUSED


async def test_redirect_elsewhere_is_checked_and_loses_the_password() -> None:
    challenge = status("401 No", 'WWW-Authenticate: Basic realm="x"\r\n')
    async with (
        rtsp_stub(describing(challenge)) as other,
        rtsp_stub(redirecting(other.url("/other"))) as stub,
    ):
        failed = await failure(stub.url(), username="user", password="pass")
    assert failed.reason is CameraFailure.UNAUTHORIZED
    assert any("/other" in request for request in other.requests)
    assert not any("Authorization" in request for request in other.requests)


async def test_redirects_end() -> None:
    async with rtsp_stub(redirecting("/again")) as stub:
        failed = await failure(stub.url())
    assert failed.reason is CameraFailure.HTTP_STATUS
    assert sum(request.startswith("DESCRIBE") for request in stub.requests) == 4


async def test_cancelled_opening_leaves_nothing_behind() -> None:
    async with rtsp_stub(describing(None)) as stub:
        opening = asyncio.ensure_future(failure(stub.url()))
        while not any(request.startswith("DESCRIBE") for request in stub.requests):
            stub.asked.clear()
            await stub.asked.wait()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    assert not decoding_processes()
