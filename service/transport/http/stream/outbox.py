"""Messages that wait to be written to one WebSocket, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson
from starlette.types import Send

MOST_UNSENT = 64
"""Messages that wait to be written; ``wait_for_room`` waits above."""


class Outbox:
    """Queue of messages; ``write_all`` writes them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._unsent: deque[dict[str, Any]] = deque()
        self._has_unsent, self._has_room = asyncio.Event(), asyncio.Event()
        self._has_room.set()
        self._is_writable = True

    def add(self, message: dict[str, object]) -> None:
        """Queue a JSON object."""
        self._append({"type": "websocket.send", "text": orjson.dumps(message).decode()})

    def close(self, code: int, reason: str) -> None:
        """Queue the close of the WebSocket."""
        self._append({"type": "websocket.close", "code": code, "reason": reason})

    async def wait_for_room(self) -> None:
        """Wait while too many messages are queued. At once if nothing can be written any more."""
        await self._has_room.wait()

    async def write_all(self) -> None:
        """Write what is queued, until the WebSocket is closed or the client is gone."""
        try:
            while True:
                await self._has_unsent.wait()
                while self._unsent:
                    message = self._unsent.popleft()
                    await self._send(message)
                    if message["type"] == "websocket.close":
                        return
                    if len(self._unsent) < MOST_UNSENT:
                        self._has_room.set()
                self._has_unsent.clear()
        except (OSError, RuntimeError):
            pass  # the client, or the wire protocol, has ended the stream: the reader sees it
        finally:
            self._is_writable = False
            self._has_room.set()

    def _append(self, message: dict[str, Any]) -> None:
        if not self._is_writable:
            return
        self._unsent.append(message)
        self._has_unsent.set()
        if len(self._unsent) >= MOST_UNSENT:
            self._has_room.clear()
