"""Opens the frames of a camera, whatever its kind, and checks a URL before it is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from schemas.cameras import CameraFailure, SourceKind
from service.cameras.sources.addresses import allowed_addresses
from service.cameras.sources.files import allowed_file
from service.cameras.sources.http.frames import open_http
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.sources.urls import kind_of, parse_file_url, parse_network_url, parse_usb_url
from service.cameras.sources.video.frames import open_video


def open_source(
    spec: SourceSpec, rules: SourceRules
) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
    """Open the frames of a camera.

    The caller opens the source again after a pause; one of at most two seconds has frames back
    within five seconds of a camera's return.

    Raises:
        SourceFailed: the scheme is not supported; on entering, or from the iterator: there are no
            more frames.
    """
    if kind_of(spec.url) is SourceKind.HTTP:
        return open_http(spec, rules)
    return open_video(spec, rules)


async def check_source(url: str, rules: SourceRules, *, timeout: float = 5.0) -> SourceKind:
    """Check a URL without connecting: syntax, allowed address, folder of files.

    An unknown host or a missing file passes: a camera may be off when it is configured.

    Raises:
        SourceFailed: ``address_refused`` or ``unsupported``.
    """
    kind = kind_of(url)
    try:
        if kind is SourceKind.FILE:
            allowed_file(parse_file_url(url), rules.files_dir)
        elif kind is SourceKind.USB:
            parse_usb_url(url)
        else:
            parsed = parse_network_url(url)
            await allowed_addresses(
                parsed.host, parsed.port, rules.networks, timeout=timeout, resolve=rules.resolve
            )
    except SourceFailed as failure:
        if failure.reason in {CameraFailure.ADDRESS_REFUSED, CameraFailure.UNSUPPORTED}:
            raise
    return kind
