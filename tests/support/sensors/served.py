"""A small server in a thread, for tests without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.sensors.tcp.small_server import SmallServer
from tests.support.waiting import PATIENCE


@contextmanager
def served(server: SmallServer) -> Iterator[SmallServer]:
    """Serve until the end of the context."""
    listens, loop = threading.Event(), asyncio.new_event_loop()
    ends = asyncio.Event()

    async def serve() -> None:
        async with server.serve():
            listens.set()
            await ends.wait()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=main)
    thread.start()
    assert listens.wait(PATIENCE)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(PATIENCE)
