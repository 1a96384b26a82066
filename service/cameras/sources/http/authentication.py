"""Answers a camera's challenge: digest where it is offered, else basic; nothing before it asks."""

from __future__ import annotations

import re
from collections.abc import Generator

import httpx

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed

_BASIC = re.compile(r"(?:^|,)\s*basic\b", re.IGNORECASE)
_DIGEST = re.compile(r"(?:^|,)\s*digest\b", re.IGNORECASE)


class CameraAuthentication:
    """User and password for one camera. Keeps the digest challenge for the next requests.

    The password goes out in the clear only if the camera asks for ``Basic`` and has never offered
    ``Digest``.
    """

    def __init__(self, username: str, password: str) -> None:
        self._digest = httpx.DigestAuth(username, password)
        self._basic = httpx.BasicAuth(username, password)
        self._speaks_basic = self._speaks_digest = False

    def flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield requests to send; the answer to the last one is the answer.

        Raises:
            SourceFailed: ``unauthorized``: the challenge cannot be answered.
        """
        if self._speaks_basic:
            yield from self._basic.auth_flow(request)
            return
        try:
            response = yield from self._by_digest(request)
        except (httpx.ProtocolError, NotImplementedError, KeyError, ValueError):
            message = "The camera's digest challenge cannot be answered"
            raise SourceFailed(CameraFailure.UNAUTHORIZED, message) from None
        if response.status_code == 401 and not self._speaks_digest and _offers(_BASIC, response):
            self._speaks_basic = True
            yield from self._basic.auth_flow(request)

    def _by_digest(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
        flow = self._digest.auth_flow(request)
        outgoing = next(flow)
        while True:
            response = yield outgoing
            self._speaks_digest = self._speaks_digest or _offers(_DIGEST, response)
            try:
                outgoing = flow.send(response)
            except StopIteration:
                return response


def _offers(scheme: re.Pattern[str], response: httpx.Response) -> bool:
    return any(map(scheme.search, response.headers.get_list("www-authenticate")))
