"""Credentials of one stream: checked when it opens, with every frame, and while it is idle."""

from __future__ import annotations

import time

from auth.limiting.limits import Allowance
from auth.principal import Principal, Scope
from schemas.errors import Unauthenticated
from service.runtime.runtime import Runtime
from service.transport.http.stream.session.actions import Grant
from service.transport.open_streams import OpenStreams
from service.transport.policy import authorize


class Access:
    """Token of one stream and its principal.

    Attributes:
        principal: None until a token was accepted.
    """

    def __init__(self, runtime: Runtime, address: str, streams: OpenStreams) -> None:
        """``address``: of the client, for rate limits; ``streams``: of all principals."""
        self._runtime, self._address, self._streams = runtime, address, streams
        self._authorization: list[str] = []
        self.principal: Principal | None = None

    async def enter(self, authorization: list[str], *, allowance: Allowance | None = None) -> None:
        """Accept the values of an Authorization header. Call ``leave`` when the stream ends.

        Raises:
            Unauthenticated, InsufficientScope, NotReady: see ``authorize``.
            RateLimited: too many calls, or too many open streams of the principal.
        """
        principal = await self._authorized(authorization, allowance or Allowance())
        if self.principal is None or principal.name != self.principal.name:
            self._streams.enter(principal.name)
            self.leave()
        self.principal, self._authorization = principal, authorization

    def leave(self) -> None:
        """Note that the stream has ended."""
        if self.principal is not None:
            self._streams.leave(self.principal.name)

    async def renew(self, token: str) -> None:
        """Replace the token by another one of the same principal.

        Raises:
            Unauthenticated, InsufficientScope, RateLimited, NotReady: see ``authorize``.
        """
        authorization = [f"Bearer {token}"]
        principal = await self._authorized(authorization, Allowance())
        if self.principal is None or principal.name != self.principal.name:
            raise Unauthenticated("The token belongs to another principal.")
        self.principal, self._authorization = principal, authorization

    async def count_frame(self) -> Principal:
        """Check the token again, count a frame as a call, and return the principal.

        Raises:
            Unauthenticated, InsufficientScope, RateLimited, NotReady: see ``authorize``.
        """
        return await self._authorized(self._authorization, Allowance())

    async def check(self) -> None:
        """Check that the token was not revoked.

        Raises:
            Unauthenticated: it was.
            NotReady: the revocation cannot be checked.
        """
        if self._authorization:
            token = self._authorization[0].partition(" ")[2].strip(" ")
            await self._runtime.identity.authenticator.authenticate(token)

    def grant(self, now: float) -> Grant:
        """Return the leave to stream; ``now`` on the session's clock, in seconds."""
        assert self.principal is not None  # noqa: S101 - asked after a token was accepted
        left = self.principal.expires_at - time.time()
        return Grant(self.principal.name, now + left)

    async def _authorized(self, authorization: list[str], allowance: Allowance) -> Principal:
        return await authorize(
            self._runtime.identity,
            Scope.STREAM,
            address=self._address,
            authorization=authorization,
            allowance=allowance,
            on_known=_ignore,
        )


def _ignore(_: Principal) -> None:
    """Log the principal when the stream ends."""
