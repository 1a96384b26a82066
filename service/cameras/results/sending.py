"""One attempt to post to a webhook, over httpx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import httpx

from service.coordination.retrying import retry_after

MAX_ANSWER_BYTES = 4096
"""A short answer is read, so that the connection can be used again; a longer one closes it."""
BODY_SECONDS = 1.0
MAX_REASON_CHARS = 200


class NotSent(Exception):
    """There was no answer. The message is for the log, without the URL."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A receiver's answer.

    Attributes:
        status: of HTTP.
        retry_after: seconds that it asks to wait, bounded; None if it does not.
    """

    status: int
    retry_after: float | None = None


class Sender(Protocol):
    """The seam between deliveries and HTTP."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request; follow no redirect.

        Raises:
            NotSent: the receiver was not reached, or did not answer in time.
        """


class HttpSender:
    """Sends by httpx."""

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client, self._timeout = client, timeout

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request; see ``Sender``."""
        try:
            request = self._client.build_request("POST", url, headers=headers, content=body)
            # Limit the total: httpx restarts its timeout on every read.
            async with asyncio.timeout(self._timeout):
                answer = await self._client.send(request, stream=True)
        except TimeoutError:
            raise NotSent("no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotSent(str(error)[:MAX_REASON_CHARS] or type(error).__name__) from error
        try:
            wait = retry_after(answer.headers.get("retry-after"), time.time())
            return Reply(answer.status_code, wait)
        finally:
            # The status counts, whatever happens to the body.
            with suppress(TimeoutError, httpx.HTTPError, OSError):
                async with asyncio.timeout(BODY_SECONDS):
                    await _read_a_little(answer)
            await answer.aclose()


@asynccontextmanager
async def open_sender(timeout: float) -> AsyncIterator[HttpSender]:
    """Open an HTTP client; ``timeout`` is for a whole attempt, in seconds."""
    async with httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client:
        yield HttpSender(client, timeout)


async def _read_a_little(answer: httpx.Response) -> None:
    """Read the body's first bytes, not decompressed."""
    received = 0
    async for piece in answer.aiter_raw():
        received += len(piece)
        if received > MAX_ANSWER_BYTES:
            return
