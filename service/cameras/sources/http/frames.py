"""Frames over HTTP: a snapshot URL that is asked again and again, or motion JPEG."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import httpx

from schemas.cameras import CameraFailure
from service.cameras.sources.due import Due
from service.cameras.sources.http.fetching import Fetcher, translated
from service.cameras.sources.http.images import check_image, check_is_whole
from service.cameras.sources.http.multipart import (
    MalformedStream,
    MultipartParser,
    PartTooLarge,
    StreamEnded,
    boundary_of,
)
from service.cameras.sources.http.pace import Pace
from service.cameras.sources.newest import NewestFrame, received
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec


@asynccontextmanager
async def open_http(spec: SourceSpec, rules: SourceRules) -> AsyncIterator[AsyncIterator[Frame]]:
    """Open an ``http(s)://`` URL; the content type of the first answer decides how it goes on.

    Raises:
        SourceFailed: on entering, or from the iterator.
    """
    fetcher = Fetcher(spec, rules)
    async with AsyncExitStack() as stack:
        response = await stack.enter_async_context(fetcher.get())
        content_type = response.headers.get("content-type", "")
        if content_type.lower().startswith("multipart/"):
            newest = NewestFrame()
            parts = _receive_parts(response, content_type, spec, fetcher.silence, newest)
            yield await stack.enter_async_context(received(newest, parts, spec.every_seconds))
            return
        first = await _read_image(response, spec, fetcher.silence)
        await stack.aclose()
        yield await stack.enter_async_context(aclosing(_snapshots(first, fetcher, spec)))


async def _snapshots(
    first: Frame, fetcher: Fetcher, spec: SourceSpec
) -> AsyncGenerator[Frame, None]:
    due = Due(spec.every_seconds)
    due.take(time.monotonic())
    yield first
    while True:
        await asyncio.sleep(due.wait(time.monotonic()))
        due.take(time.monotonic())
        async with fetcher.get() as response:
            frame = await _read_image(response, spec, fetcher.silence)
        yield frame


async def _read_image(response: httpx.Response, spec: SourceSpec, silence: float) -> Frame:
    """Read a snapshot.

    Raises:
        SourceFailed: it is no image, too large, too slow, or not whole.
    """
    announced = response.headers.get("content-length")
    if announced and announced.isdecimal() and int(announced) > spec.max_bytes:
        raise _too_large(spec)
    pace = Pace(spec.timeout, time.monotonic())
    body = bytearray()
    with translated(silence):
        async for piece in response.aiter_raw():
            pace.receive(len(piece), time.monotonic())
            if len(body) + len(piece) > spec.max_bytes:
                raise _too_large(spec)
            body += piece
    image = bytes(body)
    check_image(image)
    is_chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
    if announced is None and not is_chunked:
        check_is_whole(image)
    return Frame(image, time.monotonic())


async def _receive_parts(
    response: httpx.Response,
    content_type: str,
    spec: SourceSpec,
    silence: float,
    newest: NewestFrame,
) -> None:
    """Read motion JPEG, until it fails.

    Raises:
        SourceFailed: in any case.
    """
    pace = Pace(spec.timeout, time.monotonic())
    try:
        parser = MultipartParser(boundary_of(content_type) or "", spec.max_bytes)
        with translated(silence):
            async for piece in response.aiter_raw():
                pace.receive(len(piece), time.monotonic())
                for image in parser.feed(piece):
                    check_image(image)
                    newest.put(image)
                    pace.complete(time.monotonic())
    except PartTooLarge:
        raise _too_large(spec) from None
    except MalformedStream as error:
        raise SourceFailed(CameraFailure.NOT_AN_IMAGE, str(error)) from None
    except StreamEnded:
        pass
    raise SourceFailed(CameraFailure.ENDED, "The camera ended its stream")


def _too_large(spec: SourceSpec) -> SourceFailed:
    message = f"The camera's image is larger than {spec.max_bytes / 2**20:.3g} MiB"
    return SourceFailed(CameraFailure.TOO_LARGE, message)
