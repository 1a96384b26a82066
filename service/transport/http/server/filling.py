"""Reception of a large body directly into its buffer, past the parser.

The event loop and the parser each copy what they pass on, and every piece would wake the reader. A
body of known length needs neither.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from service.transport.http.body.whole_body import WholeBody

WAKE_BYTES = 2**20
"""Number of bytes after which the reader may count them; it checks the time too."""
_unread = bytearray(2**16)
"""Where the rest of a body goes whose reader has left. Nothing reads it."""


class Receiver(Protocol):
    """What ``Filling`` needs of the protocol that it stands in for."""

    def on_filled(self, count: int, *, is_last: bool) -> None:
        """Count bytes of the body; ``is_last``: the next bytes are those of another message."""

    def wake_reader(self) -> None:
        """Let the reader of the body look at what arrived."""

    def eof_received(self) -> bool:
        """See ``asyncio.Protocol``."""

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""


class Filling(asyncio.BufferedProtocol):
    """Protocol of a connection from a large body's first bytes to its last."""

    def __init__(self, receiver: Receiver, whole: WholeBody) -> None:
        """``whole`` has what the parser has passed on."""
        self._receiver, self._whole = receiver, whole
        self._left = whole.length - whole.received
        self._wakes_at = self._left - WAKE_BYTES

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the rest of the buffer, or a place for bytes that nobody waits for."""
        del sizehint
        if self._whole.accepts:
            return self._whole.rest()
        return memoryview(_unread)[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        """Count bytes that were written to the buffer."""
        whole, receiver = self._whole, self._receiver
        self._left -= nbytes
        if whole.accepts:
            whole.add(nbytes)
            if whole.error or self._left <= self._wakes_at:
                self._wakes_at = self._left - WAKE_BYTES
                receiver.wake_reader()
        receiver.on_filled(nbytes, is_last=not self._left)

    # Passed on.

    def eof_received(self) -> bool:
        """See ``asyncio.Protocol``."""
        return self._receiver.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._receiver.connection_lost(exc)

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._receiver.resume_writing()
