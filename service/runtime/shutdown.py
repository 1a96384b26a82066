"""Shutdown state that probes, HTTP and gRPC follow."""

from __future__ import annotations

import asyncio


class Shutdown:
    """Shutdown in two steps: announced, so that load balancers notice, then draining.

    Attributes:
        announced: the server is not ready any more, and asks clients to close connections.
        draining: accepted requests are answered, and no new ones are accepted.
    """

    def __init__(self) -> None:
        self.announced, self.draining = asyncio.Event(), asyncio.Event()

    @property
    def is_announced(self) -> bool:
        """Whether shutdown was announced."""
        return self.announced.is_set()

    def announce(self) -> None:
        """Announce shutdown."""
        self.announced.set()

    def drain(self) -> None:
        """Start draining; announce first if that was not done."""
        self.announced.set()
        self.draining.set()
