"""``BlockingSensorClient``: the same for programs without an event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Required, Self, TypedDict, TypeVar, Unpack

from client.sensors.backoff import Backoff
from client.sensors.client import CLOSE_SECONDS, SensorClient
from client.sensors.errors import ClientClosed
from client.sensors.status import Status
from client.sensors.stream import Timing
from client.sensors.tokens import TokenSource
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorAnswer

T = TypeVar("T")


class Options(TypedDict, total=False):
    """Arguments of ``SensorClient``."""

    channels: Required[int]
    queue: Required[Path | str]
    queue_bytes: int
    sync_seconds: float | None
    token: TokenSource | None
    tls: ssl.SSLContext | None
    packing: Packing
    on_result: Callable[[SensorAnswer], object] | None
    retries_refusals: bool
    backoff: Backoff | None
    timing: Timing | None


class BlockingSensorClient:
    """A ``SensorClient`` with an event loop in a thread; any thread may call its methods."""

    def __init__(self, server: str, name: str, **options: Unpack[Options]) -> None:
        """Take the arguments of ``SensorClient``; ``on_result`` is called in the client's thread.

        Raises:
            ValueError: see ``SensorClient``.
        """
        self._client = SensorClient(server, name, **options)
        self._has_finished = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="potoo-sensor", daemon=True)

    def __enter__(self) -> Self:
        """Open the queue and start to connect.

        Raises:
            QueueError: the queue cannot be opened.
        """
        self._thread.start()
        try:
            self._do(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def status(self) -> Status:
        """See ``SensorClient.status``."""
        return self._client.status

    def send(self, samples: object, at: float | None = None) -> range:
        """Put samples into the queue; see ``SensorClient.send``."""
        return self._do(self._client.send(samples, at))

    def results(self) -> Iterator[SensorAnswer]:
        """Yield answers as they come, until the client is closed; see ``SensorClient.results``."""
        answers = self._client.results()
        while True:
            try:
                answer = self._do(_next(answers))
            except ClientClosed:
                return
            if answer is None:
                return
            yield answer

    def connected(self) -> None:
        """Wait until the server answers; see ``SensorClient.connected``."""
        self._do(self._client.connected())

    def wait_safe(self, sequence: int) -> None:
        """Wait until the server needs no sample below ``sequence``."""
        self._do(self._client.wait_safe(sequence))

    def sent(self) -> None:
        """Wait until all samples of the queue were sent; see ``SensorClient.sent``."""
        self._do(self._client.sent())

    def close(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Send what is queued, and close; see ``SensorClient.close``."""
        if not self._thread.is_alive():
            return self._has_finished
        try:
            self._has_finished = self._do(self._client.close(seconds))
        finally:
            self._stop()
        return self._has_finished

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._thread.is_alive():
            work.close()
            raise ClientClosed("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # as Ctrl-C
            future.cancel()
            raise

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._forever())

    async def _forever(self) -> None:
        self._ended = asyncio.Event()
        await self._ended.wait()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()


async def _next(answers: AsyncIterator[SensorAnswer]) -> SensorAnswer | None:
    return await anext(answers, None)
