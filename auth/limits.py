"""How often one principal and one address may call: rates and daily quotas.

Counted by the library ``limits`` in a sliding window, in memory or, so that replicas count
together, in Redis. A counter that does not answer lets everybody through: it protects against
overuse, and the queue is bounded all the same.
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
"""A counter that failed is left alone for so long."""
ANSWER_SECONDS = 0.5
MAX_COUNTERS = 100_000
"""In memory, of all addresses and principals; beyond that those that end soonest are forgotten."""
TIDY_SECONDS = 60.0


@dataclass(slots=True)
class Allowance:
    """What is left of every limit that a request counted against, in the order of counting."""

    windows: list[tuple[str, RateLimitItem, int, int]] = field(default_factory=list)
    """(name, limit, remaining, seconds until it is whole again)"""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers)."""
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
    """The library's, which would look through all of its counters at every call; ours seldom."""

    def __init__(self) -> None:
        super().__init__()
        self._tidy_at = 0.0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Adds to a counter, which ends ``expiry`` seconds after it was made; the sum."""
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
    """Counts calls. Limits that are not set cost nothing."""

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
        """Ends the connections to Redis."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    @property
    def is_on(self) -> bool:
        """Whether anything is limited."""
        return bool(self._of_principal or self._of_address)

    async def count_address(self, address: str, allowance: Allowance) -> None:
        """Counts a call from an address, whoever it is.

        Raises:
            RateLimited: if it calls too often; ``allowance`` is filled all the same.
        """
        await self._count("address", self._of_address, network_of(address), allowance)

    async def count_principal(self, name: str, allowance: Allowance) -> None:
        """Counts a call of a principal.

        Raises:
            RateLimited: as above.
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
                # What is refused by one limit does not use up the next, say the day's quota.
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
    # The shortest first: what it refuses is not taken from the longer ones.
    return tuple(sorted(parse_many(text), key=RateLimitItem.get_expiry)) if text else ()
