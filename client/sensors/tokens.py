"""Where the access token comes from, and when it must be renewed."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from client.sensors.errors import TokenUnavailable

TokenSource = str | Path | Callable[[], str | Awaitable[str]]
"""The token; a file that holds it; or a function that returns it, which may be a coroutine."""

_SHARE = 0.2
_MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token; ``renew_at``: Unix time at which to fetch the next one, None if it never expires."""

    text: str
    renew_at: float | None


async def fetch_token(source: TokenSource) -> AccessToken:
    """Read or fetch the token.

    Raises:
        TokenUnavailable: the file cannot be read, or the function raised.
    """
    try:
        if isinstance(source, Path):
            text = await asyncio.to_thread(source.read_text, "ascii")
        elif isinstance(source, str):
            text = source
        else:
            given = source()
            text = await given if inspect.isawaitable(given) else given
        text = text.strip()
    except Exception as error:
        raise TokenUnavailable(f"no token: {error}") from error
    return AccessToken(text, _renew_at(text))


def _renew_at(token: str) -> float | None:
    """Return a fifth of the rest of the life before ``exp``, but 60 s at most.

    The token is not verified: that is the server's part.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return expires - min(_MOST_SECONDS, _SHARE * max(0.0, expires - time.time()))
