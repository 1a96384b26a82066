"""How far the end has come: what probes, HTTP and gRPC go by."""

from __future__ import annotations

import asyncio


class Shutdown:
    """Announced first, so that load balancers notice; then nothing new is accepted.

    Attributes:
        announced: we are not ready any more, and connections are told to go.
        draining: what was accepted is answered, and that is all.
    """

    def __init__(self) -> None:
        self.announced, self.draining = asyncio.Event(), asyncio.Event()

    @property
    def is_announced(self) -> bool:
        """Whether the server is about to go, or going."""
        return self.announced.is_set()

    def announce(self) -> None:
        """The first step."""
        self.announced.set()

    def drain(self) -> None:
        """The second step, or both of them."""
        self.announced.set()
        self.draining.set()
