"""Sliding windows that count calls, by the library ``limits``: in memory, or in Redis.

Imported only if a limit is set: the library takes 50 modules and 60 ms of a start.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

ANSWER_SECONDS = 0.5
MAX_COUNTERS = 100_000
"""In memory, over all addresses and principals; beyond it the soonest to expire are dropped."""
TIDY_SECONDS = 60.0


class Count(NamedTuple):
    """One limit after a call was counted against it; ``seconds`` until there is quota again."""

    limit: RateLimitItem
    fits: bool
    left: int
    seconds: int


class RateWindows:
    """Counters of all limits in one store."""

    def __init__(self, store: str | None) -> None:
        """Create the counters; ``store``: the URL of a Redis, or None for memory."""
        self._storage = (
            RedisStorage(
                f"async+{store}",
                implementation="redispy",
                wrap_exceptions=True,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
            if store
            else _Counters()
        )
        self._window = SlidingWindowCounterRateLimiter(self._storage)

    async def close(self) -> None:
        """Close the Redis connections."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    async def count(
        self, limits: Iterable[RateLimitItem], kind: str, identity: str
    ) -> AsyncIterator[Count]:
        """Count a call against each limit; once one is exceeded, only read the others.

        Raises:
            OSError: if the store does not answer.
        """
        is_exceeded = False
        try:
            for limit in limits:
                # A request refused by one limit does not count against the next (daily quota).
                look = self._window.test if is_exceeded else self._window.hit
                fits = await look(limit, kind, identity)
                reset, left = await self._window.get_window_stats(limit, kind, identity)
                seconds = max(1, math.ceil(reset - time.time()))
                is_exceeded = is_exceeded or not fits
                yield Count(limit, fits, left, seconds)
        except StorageError as error:
            message = "the counter store does not answer"
            raise OSError(message) from error


def parsed(text: str) -> tuple[RateLimitItem, ...]:
    """Parse limits such as ``600/minute; 50000/day``, the shortest first.

    A request that the shortest refuses does not count against the longer ones.
    """
    return tuple(sorted(parse_many(text), key=RateLimitItem.get_expiry)) if text else ()


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
