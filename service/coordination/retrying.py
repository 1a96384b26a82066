"""When something that failed is repeated: exponential back-off, and a ``Retry-After``."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a receiver that asks for more is asked again then."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, which tests replace.

    Attributes:
        now: Unix time in seconds.
        sleep: waits for seconds.
        jitter: a number in [0, 1).
    """

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


def backoff(
    attempts: int,
    longest: float = LONGEST_SECONDS,
    jitter: Callable[[], float] = random.random,
) -> float:
    """Return the seconds to wait after failed attempts.

    The pause doubles from 1 s to ``longest``; the result is between half of it and the whole, so
    that servers that failed together do not return together.

    Args:
        attempts: from 1.
        longest: seconds.
        jitter: a number in [0, 1).
    """
    pause = min(longest, FIRST_SECONDS * 2.0 ** min(attempts - 1, 30))
    return pause * (0.5 + jitter() / 2)


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for (RFC 9110, 10.2.3), within [1, 3600].

    Args:
        header: a number of seconds, or a date.
        now: Unix time.

    Returns:
        None if there is no header, or it is not valid.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
            # RFC 5322 writes "-0000" for UTC, which is parsed to a date without a zone.
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, FIRST_SECONDS), LONGEST_RETRY_AFTER)
