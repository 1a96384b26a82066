"""Rate limits and daily quotas per principal and per address.

Counted by the library ``limits`` in a sliding window, in memory or, so that replicas share counts,
in Redis. If Redis does not answer, requests pass: limits protect against overuse, and the queue is
bounded anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auth.limiting.lockout import network_of
from auth.settings import AuthSettings
from observability.metrics.store_watch import StoreWatch
from schemas.errors import RateLimited

if TYPE_CHECKING:
    from limits import RateLimitItem

    from auth.limiting.rate_windows import RateWindows

OUTAGE_SECONDS = 5.0
"""Pause after a failure of the counter store."""


@dataclass(slots=True)
class Allowance:
    """Remaining quota of each limit that a request counted against, in order of counting."""

    windows: list[tuple[str, RateLimitItem, int, int]] = field(default_factory=list)
    """(name, limit, remaining, seconds until reset)"""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Build ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers)."""
        policies = [
            f'"{n}";q={item.amount};w={item.get_expiry()}' for n, item, _, _ in self.windows
        ]
        states = [f'"{name}";r={left};t={seconds}' for name, _, left, seconds in self.windows]
        if not policies:
            return []
        return [
            (b"ratelimit-policy", ", ".join(policies).encode()),
            (b"ratelimit", ", ".join(states).encode()),
        ]


class RateLimiter:
    """Counter of calls against the limits. Unset limits cost nothing."""

    def __init__(self, settings: AuthSettings, watch: StoreWatch) -> None:
        """``watch``: of failures of the counter store."""
        self._watch = watch
        self._of_principal: tuple[RateLimitItem, ...] = ()
        self._of_address: tuple[RateLimitItem, ...] = ()
        self._windows: RateWindows | None = None
        self._out_until = float("-inf")
        if settings.rate_per_principal or settings.rate_per_address:
            from auth.limiting.rate_windows import RateWindows, parsed

            self._of_principal = parsed(settings.rate_per_principal)
            self._of_address = parsed(settings.rate_per_address)
            store = settings.rate_store
            self._windows = RateWindows(store.get_secret_value() if store else None)

    async def close(self) -> None:
        """Close the Redis connections."""
        if self._windows is not None:
            await self._windows.close()

    @property
    def is_on(self) -> bool:
        """Whether any limit is set."""
        return self._windows is not None

    async def count_address(self, address: str, allowance: Allowance) -> None:
        """Count a call from an address, whatever its principal.

        Raises:
            RateLimited: if a limit is exceeded; ``allowance`` is filled even then.
        """
        await self._count("address", self._of_address, network_of(address), allowance)

    async def count_principal(self, name: str, allowance: Allowance) -> None:
        """Count a call of a principal.

        Raises:
            RateLimited: if a limit is exceeded; ``allowance`` is filled even then.
        """
        await self._count("principal", self._of_principal, name, allowance)

    async def _count(
        self, kind: str, limits: Iterable[RateLimitItem], identity: str, allowance: Allowance
    ) -> None:
        if self._windows is None or not limits or time.monotonic() < self._out_until:
            return
        exceeded = 0
        try:
            async for limit, fits, left, seconds in self._windows.count(limits, kind, identity):
                name = f"{kind}-{limit.get_expiry()}"
                allowance.windows.append((name, limit, left if fits else 0, seconds))
                exceeded = exceeded if fits else max(exceeded, seconds)
        except OSError as error:
            self._out_until = time.monotonic() + OUTAGE_SECONDS
            cause = error.__cause__ or error
            self._watch.failed(" ".join(f"{type(cause).__name__}: {cause}".split()))
            return
        self._watch.worked()
        if exceeded:
            message = "Too many requests; the RateLimit header says when there are more."
            raise RateLimited(message, retry_after=exceeded)
