"""Bearer token authentication of every call on every transport."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from auth.issuers import TrustedIssuers
from auth.principal import Principal
from auth.signing.verifier import UnknownKey, Verifier
from auth.store.revocations import Revocations


class Authenticator:
    """Token verification with a cache that holds until expiry, revocation or a key change."""

    def __init__(
        self,
        verifier: Verifier,
        revocations: Revocations,
        issuers: TrustedIssuers,
        *,
        cache_size: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._verifier, self._revocations, self._issuers = verifier, revocations, issuers
        self._cache_size, self._clock = cache_size, clock
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of a bearer token. Takes microseconds if cached.

        Raises:
            Unauthenticated: if the token is not valid.
            NotReady: if the revocation list is out of date.
        """
        principal = self._verified.get(token)
        if principal is not None and principal.expires_at > self._clock():
            self._revocations.require_fresh()
            return principal
        self._verified.pop(token, None)
        try:
            principal = self._verifier.verify(token)
        except UnknownKey as unknown:
            await self._issuers.look_again(unknown.issuer)
            principal = self._verifier.verify(token)
        self._revocations.check(principal)
        self._verified[token] = principal
        if len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
        return principal

    def forget(self) -> None:
        """Clear the cache after a revocation or a key change."""
        self._verified.clear()
