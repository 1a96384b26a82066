"""Transport that writes the head of a response together with its body."""

from __future__ import annotations

import asyncio

LARGE = 64 * 2**10
"""Bodies of at least this many bytes are written separately: joining would copy them."""


class CoalescingTransport:
    """Wrapper of the transport methods that uvicorn uses.

    uvicorn writes headers and body separately, which costs a system call and wakes the client too
    early.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.write_eof = transport.write_eof

    def write(self, data: bytes) -> None:
        """Write data; hold a final response's head back until ``flush`` or the next write."""
        is_head = data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n")
        if is_head and not data.startswith(b"HTTP/1.1 1") and not self._head:
            self._head = data
            return
        if self._head and len(data) < LARGE:
            data = self._head + data
            self._head = b""
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Write a held head whose body is empty or has not begun."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Flush, then close the transport."""
        self.flush()
        self._transport.close()
