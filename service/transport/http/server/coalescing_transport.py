"""Transport that writes the head of a response together with its body."""

from __future__ import annotations

import asyncio

LARGE = 64 * 2**10
"""Bodies of at least this many bytes are written separately: joining would copy them."""


class CoalescingTransport:
    """Wrapper of the transport methods that uvicorn and our protocol use.

    Writing head and body separately costs a system call and wakes the client too early.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._write = transport.write
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.write_eof = transport.write_eof

    def hold(self, head: bytes) -> None:
        """Hold the head of a response back until ``flush`` or the next write."""
        self._head = head

    def write(self, data: bytes) -> None:
        """Write data, behind the head that is held."""
        head = self._head
        if head:
            self._head = b""
            if len(data) < LARGE:
                data = head + data
            else:
                self._write(head)
        self._write(data)

    def flush(self) -> None:
        """Write a held head whose body is empty or has not begun."""
        if self._head:
            self._write(self._head)
            self._head = b""

    def close(self) -> None:
        """Flush, then close the transport."""
        self.flush()
        self._transport.close()
