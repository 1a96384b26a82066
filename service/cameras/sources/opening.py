"""Opens the frames of a camera, whatever its kind, and checks a URL before it is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from schemas.cameras import SourceKind
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import Frame, SourceSpec


def open_source(
    spec: SourceSpec, rules: SourceRules
) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
    """Open the frames of a camera.

    Raises:
        SourceFailed: on entering, or from the iterator, when there are no more frames.
    """
    raise NotImplementedError(spec.url, rules)


async def check_source(url: str, rules: SourceRules, *, timeout: float = 5.0) -> SourceKind:
    """Check a URL without connecting: syntax, allowed address, folder of files.

    An unknown or unreachable host passes, since a camera may be off when it is configured.

    Raises:
        SourceFailed: ``address_refused`` or ``unsupported``.
    """
    raise NotImplementedError(url, rules, timeout)
