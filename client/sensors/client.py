"""``SensorClient``: samples of a device to Potoo, at least once, through a queue on disk."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from client.sensors.backoff import Backoff
from client.sensors.errors import ClientClosed, QueueError, SensorClientError
from client.sensors.links.address import parse_address
from client.sensors.links.opening import link_opener
from client.sensors.queue.disk_queue import DEFAULT_MAX_BYTES, DiskQueue
from client.sensors.queue.samples import as_samples
from client.sensors.queue.worker import QueueWorker
from client.sensors.signal import Signal
from client.sensors.status import Status
from client.sensors.stream import EpochSpent, Stream, Timing
from client.sensors.tokens import AccessToken, TokenSource, fetch_token
from schemas.sensor_wire.messages import Result
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorAnswer

CLOSE_SECONDS = 5.0
MAX_RESULTS = 1000
"""Answers that wait for ``results``; beyond it the oldest are dropped."""


class SensorClient:
    """Sends the samples of one sensor, and receives the answers for its windows.

    ``async with`` opens the queue and starts to connect; samples are taken at once, with or without
    a connection. They stay in the queue until the server has confirmed them: after a crash of
    the device, of the server or of the network they are sent again, under the same numbers, and the
    server recognises those that it has.
    """

    def __init__(
        self,
        server: str,
        name: str,
        *,
        channels: int,
        queue: Path | str,
        queue_bytes: int = DEFAULT_MAX_BYTES,
        sync_seconds: float | None = 0.0,
        token: TokenSource | None = None,
        tls: ssl.SSLContext | None = None,
        packing: Packing = Packing.PLAIN,
        on_result: Callable[[SensorAnswer], object] | None = None,
        retries_refusals: bool = True,
        backoff: Backoff | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Describe the client; nothing is opened before ``async with``.

        Args:
            server: ``tcp://host:7700``, ``tcps://…`` or ``mqtt://user:password@host:1883/topic``.
            name: of the sensor.
            channels: numbers in a sample.
            queue: folder of the queue, for this client alone.
            queue_bytes: of the queue; beyond it the oldest samples are dropped.
            sync_seconds: 0: samples are on disk when ``send`` returns. More: the disk is synced
                that often, and a power failure loses up to so much. None: never; a power failure
                may lose the last seconds, even samples that the server has: then the client
                begins a new epoch.
            token: access token with the scope ``ingest``; a ``Path`` is read again when the token
                expires, and a function is called again. With MQTT the broker decides who may send.
            tls: certificates to trust, or a client certificate; default: those of the system.
            packing: compress samples on disk and on the way, where the server has zstd.
            on_result: called on the event loop with each answer; else they wait for ``results``. If
                it raises, the client stops.
            retries_refusals: connect again after refusals that last, such as of the token or the
                name, since an operator may remove the cause. False: the client stops.
            backoff: pauses between connections.
            timing: time-outs.

        Raises:
            ValueError: ``server`` is not one of these.
        """
        self._name, self._channels = name, channels
        self._token, self._on_result_given = token, on_result
        self._retries_refusals, self._backoff = retries_refusals, backoff or Backoff()
        self._timing, self._open_link = timing or Timing(), link_opener(parse_address(server), tls)
        folder = Path(queue)
        self._worker = QueueWorker(
            lambda: DiskQueue(folder, channels=channels, max_bytes=queue_bytes, packing=packing),
            sync_seconds,
        )
        self._stream: Stream | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = Signal()
        self._results: deque[SensorAnswer] = deque(maxlen=MAX_RESULTS)
        self._is_connected = self._is_closing = self._is_leaving = self._is_closed = False
        self._problem: SensorClientError | None = None
        self._has_finished = False
        self._safe = self._connections = 0
        self.results_dropped = 0

    async def __aenter__(self) -> Self:
        """Open the queue and start to connect.

        Raises:
            QueueError: the queue cannot be opened.
        """
        await self._worker.open()
        self._tasks = [
            asyncio.create_task(self._keep_connected()),
            asyncio.create_task(self._drop_confirmed()),
        ]
        if self._worker.sync_seconds:
            self._tasks.append(asyncio.create_task(self._sync_regularly(self._worker.sync_seconds)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def status(self) -> Status:
        """Present state of the client."""
        queue = self._worker.queue
        stream = self._stream
        return Status(
            is_connected=self._is_connected,
            epoch=queue.epoch,
            next_sequence=queue.next_sequence,
            safe=self._safe,
            sent=stream.progress.position if stream else self._safe,
            queued_bytes=queue.size,
            dropped=queue.dropped,
            connections=self._connections,
            problem=self._problem,
        )

    async def send(self, samples: object, at: float | None = None) -> range:
        """Put samples into the queue. Send a few hundred at a time: each call costs a disk write.

        Args:
            samples: array or nested sequence of shape [n, channels]; [n] for one channel. float32.
            at: when the first one was taken, seconds since 1970.

        Returns:
            Their sequence numbers in ``status.epoch``.

        Raises:
            ValueError: wrong shape.
            QueueWriteFailed: the disk is full or broken; samples from ``status.next_sequence`` on
                were not taken.
            ClientClosed: the client is closed, or stopped after a refusal.
        """
        self._check_open()
        values = as_samples(samples, self._channels)
        if not len(values):
            return range(self._worker.queue.next_sequence, self._worker.queue.next_sequence)
        numbers = await self._worker.append(values, at)
        if self._stream is not None:
            self._stream.wake()
        return numbers

    async def results(self) -> AsyncIterator[SensorAnswer]:
        """Yield answers as they come, until the client is closed.

        An answer may be lost with its connection; the server keeps all of them (``GET
        /v1/sensors/{name}/results``).

        Raises:
            SensorClientError: the client stopped after a refusal.
        """
        while True:
            await self._changed.wait_for(lambda: self._results or self._is_stopped)
            while self._results:
                yield self._results.popleft()
            if self._is_stopped:
                if self._problem is not None and not self._is_closed:
                    raise self._problem
                return

    async def connected(self) -> None:
        """Wait until the server answers.

        Raises:
            SensorClientError: the client stopped after a refusal.
        """
        await self._wait(lambda: self._is_connected)

    async def wait_safe(self, sequence: int) -> None:
        """Wait until the server needs no sample below ``sequence``.

        The samples of an incomplete window are not safe before it is complete.

        Raises:
            SensorClientError: the client stopped after a refusal.
        """
        await self._wait(lambda: self._safe >= sequence)

    async def sent(self) -> None:
        """Wait until all samples of the queue were sent on one connection.

        Raises:
            SensorClientError: the client stopped after a refusal.
        """
        await self._worker.sync()
        if self._stream is not None:
            self._stream.wake()
        await self._wait(lambda: self._has_sent_all)

    async def close(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Send what is queued, wait for the answers, and close; idempotent.

        Args:
            seconds: for all of it. What was not confirmed stays in the queue for the next life.

        Returns:
            Whether everything was sent in time, and its answers came.
        """
        if self._is_closed or not self._tasks:
            return self._has_finished
        self._is_closing = True
        with suppress(TimeoutError, SensorClientError):
            async with asyncio.timeout(seconds):
                if self._safe < self._worker.queue.next_sequence:
                    await self.sent()
                    await self._finish()
                self._has_finished = True
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._changed.notify()
        with suppress(QueueError):
            await self._worker.confirm(self._safe)
        await self._worker.close()
        return self._has_finished

    @property
    def _is_stopped(self) -> bool:
        return self._is_closed or (bool(self._tasks) and self._tasks[0].done())

    @property
    def _has_sent_all(self) -> bool:
        end = self._worker.queue.next_sequence
        stream = self._stream
        return self._is_connected and stream is not None and stream.progress.position >= end

    def _check_open(self) -> None:
        if self._is_closing or self._is_stopped or not self._tasks:
            raise ClientClosed("the client is closed") from self._problem

    async def _wait(self, holds: Callable[[], bool]) -> None:
        await self._changed.wait_for(lambda: holds() or self._is_stopped)
        if not holds():
            raise self._problem or ClientClosed("the client is closed")

    async def _finish(self) -> None:
        """End the connection so that all answers come before."""
        stream, self._is_leaving = self._stream, True
        if stream is not None and not await stream.finish():
            await self._changed.wait_for(lambda: not self._is_connected)

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            before = self._connections
            try:
                await self._converse()
            except SensorClientError as error:
                self._problem = error
                if error.is_lasting and not self._retries_refusals:
                    return
            except Exception as error:  # noqa: BLE001 - of `on_result`
                self._problem = ClientClosed(f"on_result failed: {error!r}")
                self._problem.__cause__ = error
                return
            finally:
                self._is_connected, self._stream = False, None
                self._changed.notify()
            if self._is_leaving:
                return
            failures = 1 if self._connections > before else failures + 1
            asked = getattr(self._problem, "retry_after", None) or 0.0
            await asyncio.sleep(max(self._backoff.pause(failures), asked))

    async def _converse(self) -> None:
        """Connect and stream until the connection ends.

        Raises:
            SensorClientError: it ended, or there is none.
        """
        async with self._open_link(self._name, self._worker.queue.epoch) as link:
            self._stream = Stream(
                link,
                self._worker,
                name=self._name,
                channels=self._channels,
                fetch_token=self._fetch_token,
                on_progress=self._on_progress,
                on_result=self._on_result,
                timing=self._timing,
            )
            try:
                await self._stream.run(is_first=not self._connections)
            except EpochSpent:
                await self._worker.restart()
                self._safe = 0

    async def _fetch_token(self) -> AccessToken | None:
        return None if self._token is None else await fetch_token(self._token)

    def _on_progress(self) -> None:
        stream = self._stream
        if stream is None:
            return
        if not self._is_connected:
            self._is_connected, self._problem = True, None
            self._connections += 1
        self._safe = stream.progress.safe
        self._changed.notify()

    def _on_result(self, result: Result) -> None:
        answer = SensorAnswer.model_validate_json(result.answer)
        if self._on_result_given is not None:
            self._on_result_given(answer)
            return
        self.results_dropped += len(self._results) == MAX_RESULTS
        self._results.append(answer)
        self._changed.notify()

    async def _drop_confirmed(self) -> None:
        queue = self._worker.queue
        while True:
            await self._changed.wait_for(lambda: queue.can_drop(self._safe))
            await self._worker.confirm(self._safe)

    async def _sync_regularly(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            with suppress(QueueError):  # the next `send` reports it
                await self._worker.sync()
            if self._stream is not None:
                self._stream.wake()
