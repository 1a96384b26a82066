"""Rate limits and daily quotas per principal and per address.

Counted by the library ``limits`` in a sliding window, in memory or, so that replicas share counts,
in Redis. If Redis does not answer, requests pass: limits protect against overuse, and the queue is
bounded anyway.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from auth.lockout import network_of
from auth.settings import AuthSettings
from observability.logging import get_logger
from schemas.errors import RateLimited

OUTAGE_SECONDS = 5.0
"""Pause after a failure of the counter store."""
ANSWER_SECONDS = 0.5
MAX_COUNTERS = 100_000
"""In memory, over all addresses and principals; beyond it the soonest to expire are dropped."""
TIDY_SECONDS = 60.0


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


class _Counters(MemoryStorage):
    """Memory storage that expires counters periodically instead of scanning all on every call."""

    def __init__(self) -> None:
        super().__init__()
        self._tidy_at = 0.0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter that expires ``expiry`` seconds after creation; return the sum."""
        if not await self.get(key):
            self._tidy(time.time())
            self.expirations[key] = time.time() + expiry
        self.storage[key] += amount
        return self.storage[key]

    def _tidy(self, now: float) -> None:
        if now < self._tidy_at and len(self.expirations) < MAX_COUNTERS:
            return
        self._tidy_at = now + TIDY_SECONDS
        over = sum(until <= now for until in self.expirations.values())
        too_many = len(self.expirations) - MAX_COUNTERS * 9 // 10
        for key in sorted(self.expirations, key=self.expirations.__getitem__)[
            : max(over, too_many, 0)
        ]:
            del self.expirations[key], self.storage[key]


class RateLimiter:
    """Counter of calls against the limits. Unset limits cost nothing."""

    def __init__(self, settings: AuthSettings) -> None:
        self._of_principal = _parsed(settings.rate_per_principal)
        self._of_address = _parsed(settings.rate_per_address)
        store = settings.rate_store
        self._storage = (
            RedisStorage(
                f"async+{store.get_secret_value()}",
                implementation="redispy",
                wrap_exceptions=True,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
            if store
            else _Counters()
        )
        self._window = SlidingWindowCounterRateLimiter(self._storage)
        self._out_until = float("-inf")

    async def close(self) -> None:
        """Close the Redis connections."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    @property
    def is_on(self) -> bool:
        """Whether any limit is set."""
        return bool(self._of_principal or self._of_address)

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
        self, who: str, items: Iterable[RateLimitItem], identity: str, allowance: Allowance
    ) -> None:
        if not items or time.monotonic() < self._out_until:
            return
        exceeded = 0
        try:
            for item in items:
                # A request refused by one limit does not count against the next (daily quota).
                look = self._window.test if exceeded else self._window.hit
                fits = await look(item, who, identity)
                reset, left = await self._window.get_window_stats(item, who, identity)
                seconds = max(1, math.ceil(reset - time.time()))
                name = f"{who}-{item.get_expiry()}"
                allowance.windows.append((name, item, left if fits else 0, seconds))
                exceeded = exceeded if fits else max(exceeded, seconds)
        except (StorageError, OSError) as error:
            self._out_until = time.monotonic() + OUTAGE_SECONDS
            get_logger("auth").warning("rate limits are not counted", reason=type(error).__name__)
            return
        if exceeded:
            message = "Too many requests; the RateLimit header says when there are more."
            raise RateLimited(message, retry_after=exceeded)


def _parsed(text: str) -> tuple[RateLimitItem, ...]:
    # Shortest first: a request that it refuses does not count against the longer ones.
    return tuple(sorted(parse_many(text), key=RateLimitItem.get_expiry)) if text else ()
