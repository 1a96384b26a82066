"""One frame of a camera, fetched now: for the form and for ``potoo cameras test``."""

from __future__ import annotations

import asyncio

from schemas.cameras import CameraFailure, CameraSpec
from schemas.errors import InvalidParameter, Overloaded, Violation
from service.cameras.administration import CameraAdministration, is_same_host
from service.cameras.logins import Logins
from service.cameras.sources.source import SourceFailed, SourceSpec
from service.cameras.store.cameras import StoredCamera
from service.cameras.store.credentials import CredentialsUnreadable, Login
from service.cameras.watching.watcher import Open

FETCH_SECONDS = 15.0
MOST = 4
"""Frames that a process fetches at a time for people."""


class FrameFetcher:
    """Fetches single frames, with the checks and logins of the cameras that are watched."""

    def __init__(
        self,
        administration: CameraAdministration,
        logins: Logins,
        open_source: Open,
        max_bytes: int,
    ) -> None:
        """``max_bytes``: of a frame."""
        self._administration, self._logins = administration, logins
        self._open, self._max_bytes = open_source, max_bytes
        self._places = MOST

    async def fetch(self, spec: CameraSpec, stored: StoredCamera | None = None) -> bytes:
        """Return the first frame of a source, as it comes.

        Args:
            spec: with its credentials.
            stored: the camera whose credentials are used if there are none and the host is its.

        Raises:
            InvalidParameter: there is none; says why.
            Overloaded: too many are being fetched.
        """
        split = await self._administration.checked(spec)
        login = split.login
        try:
            if split.spec.secret is not None:
                login = self._logins.secret(split.spec.secret)
            elif stored is not None and is_same_host(stored.spec, split.spec):
                login = (
                    self._logins.of(stored)
                    if login is None
                    else self._administration.with_stored_user(spec, login, stored.credentials)
                )
        except CredentialsUnreadable as error:
            raise _failed(CameraFailure.UNAUTHORIZED, str(error)) from None
        return await self._first(split.spec, login)

    async def _first(self, spec: CameraSpec, login: Login | None) -> bytes:
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
    violation = Violation("/body/url", f"{detail} ({reason.value})")
    return InvalidParameter("The camera gives no frame.", violations=(violation,))
