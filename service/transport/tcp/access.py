"""Token of one device: checked at its HELLO, at each TOKEN, and while it is connected."""

from __future__ import annotations

import time

from auth.limiting.limits import Allowance
from auth.limiting.lockout import network_of
from auth.principal import Principal, Scope
from schemas.errors import Unauthenticated
from service.runtime.identity import Identity
from service.transport.policy import authorize
from service.transport.tcp.refusals import TokenRefusals


class DeviceAccess:
    """Access of one connection. HELLO and TOKEN count as calls; samples have credit instead.

    Attributes:
        principal: None until a token was accepted.
    """

    def __init__(self, identity: Identity, refusals: TokenRefusals, address: str) -> None:
        """``address``: of the device."""
        self._identity, self._refusals, self._address = identity, refusals, address
        self._token, self._name = "", ""
        self.principal: Principal | None = None

    async def enter(self, token: str | None, name: str) -> Principal:
        """Accept the token of a HELLO; ``name``: of the sensor.

        Raises:
            Unauthenticated, InsufficientScope, RateLimited, NotReady: see ``authorize``.
        """
        self._name = name
        self.principal = await self._authorized(token)
        return self.principal

    async def renew(self, token: str) -> Principal:
        """Replace the token by another one of the same principal.

        Raises:
            Unauthenticated, InsufficientScope, RateLimited, NotReady: see ``authorize``.
        """
        principal = await self._authorized(token)
        if self.principal is None or principal.name != self.principal.name:
            message = "The token belongs to another principal."
            raise Unauthenticated(message)
        self.principal = principal
        return principal

    async def check(self) -> None:
        """Check that the token was not revoked.

        Raises:
            Unauthenticated: it was.
            NotReady: the revocation cannot be checked.
        """
        if self._token:
            await self._identity.authenticator.authenticate(self._token)

    def expires_at(self, now: float) -> float:
        """Return when the token expires, on a clock that shows ``now``."""
        assert self.principal is not None  # noqa: S101 - asked after a token was accepted
        return now + self.principal.expires_at - time.time()

    async def _authorized(self, token: str | None) -> Principal:
        network, now = network_of(self._address), time.monotonic()
        self._refusals.check(network, self._name, now)
        try:
            principal = await authorize(
                self._identity,
                Scope.INGEST,
                address=self._address,
                authorization=[f"Bearer {token}"] if token else [],
                allowance=Allowance(),
                on_known=_ignore,
            )
        except Unauthenticated:
            self._refusals.note(network, self._name, now)
            raise
        self._token = token or ""
        return principal


def _ignore(_: Principal) -> None:
    """Log the principal when the connection ends."""
