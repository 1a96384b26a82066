"""One frame of a camera, fetched now: for the form and for ``potoo cameras test``."""

from __future__ import annotations

import asyncio

from schemas.cameras import CameraFailure, CameraSpec
from schemas.errors import InvalidParameter, Overloaded, Violation
from service.cameras.sources.source import SourceFailed, SourceSpec
from service.cameras.store.credentials import Login
from service.cameras.watching.watcher import Open

FETCH_SECONDS = 15.0
MOST = 4
"""Frames that a process fetches at a time for people."""


class FrameFetcher:
    """Fetches single frames."""

    def __init__(self, open_source: Open, max_bytes: int) -> None:
        self._open, self._max_bytes = open_source, max_bytes
        self._places = MOST

    async def fetch(self, spec: CameraSpec, login: Login | None) -> bytes:
        """Return the first frame of a source, as it comes.

        Raises:
            InvalidParameter: there is none; says why.
            Overloaded: too many are being fetched.
        """
        if not self._places:
            raise Overloaded("Other frames are being fetched.", retry_after=FETCH_SECONDS)
        source = SourceSpec(
            url=spec.url,
            username=login.username if login else None,
            password=login.password if login else None,
            every_seconds=spec.every_seconds,
            max_bytes=self._max_bytes,
        )
        self._places -= 1
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._open(source) as frames:
                async for frame in frames:
                    return frame.image
            raise SourceFailed(CameraFailure.ENDED, "The stream ended before a frame")
        except TimeoutError:
            raise _failed(CameraFailure.TIMEOUT, "The camera sends no frame") from None
        except SourceFailed as error:
            raise _failed(error.reason, error.detail) from None
        finally:
            self._places += 1


def _failed(reason: CameraFailure, detail: str) -> InvalidParameter:
    return InvalidParameter(
        "The camera gives no frame.", violations=(Violation("/body/url", f"{detail} ({reason})"),)
    )
