"""Frames of RTSP cameras, files and USB cameras, from a process that is killed if it hangs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote

from schemas.cameras import CameraFailure, SourceKind
from service.cameras.sources.files import opened
from service.cameras.sources.newest import NewestFrame, received
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.silence import RTSP_SECONDS, allowed_silence
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.sources.tls import authorities
from service.cameras.sources.urls import (
    NetworkUrl,
    kind_of,
    parse_file_url,
    parse_network_url,
    parse_usb_url,
)
from service.cameras.sources.video.process import (
    COMMAND,
    OPEN_TIMEOUTS,
    START_SECONDS,
    VideoProcess,
    video_process,
)
from service.cameras.sources.video.protocol import DEVICES, Message, Request
from service.cameras.sources.video.rtsp import knock

MAX_REDIRECTS = 3
_HEARTBEATS = 4
"""Signs of life within the time that a source may be silent."""
_RTSP_OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    "probesize": "65536",
    "analyzeduration": "500000",
}
# Playlists would name other files and addresses.
_FILE_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,h264,hevc,flv,mjpeg"
}


class _Redirected(Exception):
    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


@asynccontextmanager
async def open_video(
    spec: SourceSpec, rules: SourceRules, *, command: Sequence[str] = COMMAND
) -> AsyncIterator[AsyncIterator[Frame]]:
    """Open an ``rtsp(s)://``, ``file:///`` or ``usb:N`` URL.

    A file is played at its own pace and begins anew at its end, like a camera.

    Raises:
        SourceFailed: on entering, or from the iterator.
    """
    async with AsyncExitStack() as stack:
        process = await _open(spec, rules, command, stack)
        newest = NewestFrame()
        yield await stack.enter_async_context(
            received(newest, _receive(process, spec, newest), spec.every_seconds)
        )


async def _open(
    spec: SourceSpec, rules: SourceRules, command: Sequence[str], stack: AsyncExitStack
) -> VideoProcess:
    if kind_of(spec.url) is not SourceKind.RTSP:
        if kind_of(spec.url) is SourceKind.FILE:
            descriptor = stack.enter_context(opened(parse_file_url(spec.url), rules.files_dir))
            request = _request(spec, "", _FILE_OPTIONS, descriptor=descriptor)
        else:
            device = f"/dev/video{parse_usb_url(spec.url)}"
            request = _request(spec, device, {}, kind=DEVICES)
        return await _start(request, spec, command, stack)
    first = url = parse_network_url(spec.url)
    for _ in range(MAX_REDIRECTS + 1):
        address = await knock(url, rules, spec.timeout)
        user = ""
        if spec.username is not None and _origin(url) == _origin(first):
            user = f"{quote(spec.username, safe='')}:{quote(spec.password or '', safe='')}"
        request = _request(spec, url.at(address, user), _options(url, rules, _silence(spec)))
        try:
            return await _start(request, spec, command, stack)
        except _Redirected as redirected:
            await stack.aclose()
            url = _redirect(url, redirected.location)
    message = f"The camera redirects more than {MAX_REDIRECTS} times"
    raise SourceFailed(CameraFailure.HTTP_STATUS, message)


def _request(
    spec: SourceSpec,
    url: str,
    options: dict[str, str],
    *,
    kind: str | None = None,
    descriptor: int | None = None,
) -> Request:
    return Request(
        parent=os.getpid(),
        url=url,
        descriptor=descriptor,
        format=kind,
        options=options,
        is_live=descriptor is None,
        every=spec.every_seconds,
        part=spec.part,
        timeout=spec.timeout,
        silence=_silence(spec),
        heartbeat=_silence(spec) / _HEARTBEATS,
    )


def _options(url: NetworkUrl, rules: SourceRules, silence: float) -> dict[str, str]:
    """Return FFmpeg's options for an RTSP URL."""
    # Of each answer while the source is opened, which as a whole may take longer.
    options = {**_RTSP_OPTIONS, "timeout": str(round(silence * 1e6))}
    if url.is_encrypted:
        options |= {"tls_verify": "1", "verifyhost": url.host, "ca_file": authorities(rules)}
    return options


def _silence(spec: SourceSpec) -> float:
    """Return how long a source may be silent, in seconds; files and devices as long as to open."""
    if kind_of(spec.url) is not SourceKind.RTSP:
        return spec.timeout
    return allowed_silence(spec, RTSP_SECONDS)


def _redirect(url: NetworkUrl, location: str) -> NetworkUrl:
    """Return the target of a redirect.

    Raises:
        SourceFailed: ``address_refused``: it is no RTSP URL.
    """
    target = url.join(location)
    if target.scheme not in {"rtsp", "rtsps"}:
        message = "The camera redirects to another protocol"
        raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
    return target


async def _start(
    request: Request, spec: SourceSpec, command: Sequence[str], stack: AsyncExitStack
) -> VideoProcess:
    """Start the decoding process, until its source is open."""
    process = await stack.enter_async_context(video_process(request, spec.max_bytes, command))
    seconds = START_SECONDS
    while True:
        kind, payload = await process.read(seconds)
        if kind is Message.REDIRECTED:
            raise _Redirected(payload.decode("utf-8", "replace"))
        if kind is Message.OPENED:
            return process
        seconds = OPEN_TIMEOUTS * spec.timeout


async def _receive(process: VideoProcess, spec: SourceSpec, newest: NewestFrame) -> None:
    """Read messages until the process fails, or sends nothing for too long.

    Raises:
        SourceFailed: in any case.
    """
    while True:
        kind, payload = await process.read(_silence(spec))
        if kind is Message.FRAME:
            newest.put(payload)


def _origin(url: NetworkUrl) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port
