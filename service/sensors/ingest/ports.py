"""Seams of the intake: to transports above it, to the store and the model below it.

Everything here runs on the event loop's thread. A transport opens a channel, offers samples, and
passes on what its listener is called with::

    device ── samples ──► Channel.offer ──► windows ──► model ──► commit ──► Listener.safe, .result

Nothing is confirmed before it is committed: after a crash a device sends again from ``safe``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from schemas.sensors import SensorAnswer, SensorEvent, SensorFault, SensorSpec
from service.sensors.records import Claim, ClaimedEpoch, Entry, Glance, Outcome, StoredSensor
from service.sensors.windows.samples import Samples, Window

__all__ = [
    "Channel",
    "Door",
    "Ending",
    "Intake",
    "Listener",
    "Samples",
    "SensorMetrics",
    "SensorStore",
    "Window",
]

Door = Literal["tcp", "raw_tcp", "mqtt", "http"]
"""How samples arrive. Label of metrics."""
Ending = Literal["replaced", "removed", "changed", "drained"]
"""Why the server ends a channel: another channel sends the epoch now; the sensor was removed; its
configuration was changed, or it was paused (open again: ``NotReady`` while it is paused); the
server stops."""


class Listener(Protocol):
    """Receives answers for a transport. Called on the event loop; must not block or raise.

    No method is called after ``closed``, nor after ``Channel.close`` has returned.
    """

    def safe(self, sequence: int, credit: int) -> None:
        """Samples below ``sequence`` are not needed any more; called after the commit.

        ``credit`` is that of ``Channel.credit``. ``sequence`` never falls.
        """

    def result(self, answer: SensorAnswer) -> None:
        """A window has an answer; called after its commit and before ``safe``, in order."""

    def fault(self, fault: SensorFault, detail: str) -> None:
        """Samples or a window were not classified; the stream goes on. At most one a second."""

    def pause(self) -> None:
        """Read no further samples, if the transport can: memory is full."""

    def resume(self) -> None:
        """Read on."""

    def closed(self, reason: Ending) -> None:
        """The server ended the channel; ``offer`` ignores samples from now on."""


class Channel(Protocol):
    """One device that sends one epoch of one sensor.

    Attributes:
        sensor: name.
        spec: the sensor's configuration; a change ends the channel.
        length: samples in a window.
        stride: samples between the starts of two windows.
        epoch: as claimed, or as the server made it.
        next_sequence: everything below is safe: the sequence of the first sample that the server
            needs. After ``open``: send from here.
        received: sequence after the last sample that was offered.
        credit: the device may send the samples below ``next_sequence`` + credit // (4 * channels):
            bytes of float32 samples from the first one that is not safe on, before compression.
            After a gap they count from its end. Changes with load; suffices for two windows beyond
            the one that is not complete.
    """

    sensor: str
    spec: SensorSpec
    length: int
    stride: int
    epoch: int

    @property
    def next_sequence(self) -> int:
        """See the class."""

    @property
    def received(self) -> int:
        """See the class."""

    @property
    def credit(self) -> int:
        """See the class."""

    def offer(self, samples: Samples) -> int:
        """Take samples; never blocks. Returns ``received``.

        Samples that arrived before are dropped and counted (``SensorFault.DUPLICATE``). Missing
        ones are a gap: the policy of the sensor decides.

        Raises:
            InvalidTensor: another number of channels, another dtype; the stream may go on.
            Overloaded: the device sent far beyond its credit. Close the connection.
        """

    def touch(self) -> None:
        """Note a sign of life without samples, such as PING: the channel is not idle."""

    def report(self, fault: SensorFault, detail: str) -> None:
        """Count a fault that the transport found, such as a message that cannot be parsed.

        Does not call the listener.
        """

    async def close(self) -> None:
        """Classify and commit the complete windows, then end; the epoch stays resumable.

        Waits 5 s at most. Idempotent.
        """


class Intake(Protocol):
    """The one way of samples into the server."""

    async def open(
        self,
        sensor: str,
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
        listener: Listener,
    ) -> Channel:
        """Open a channel. The epoch's live channel, if there is one, ends with ``replaced``.

        Args:
            epoch: chosen by the device, 0 to ``MAX_EPOCH``; None: the server makes a new one.
            principal: None where no token is asked for.

        Raises:
            NotFound: there is no such sensor.
            EpochRefused: (a ``Conflict``) another device sends another epoch, or there is a newer
                one: see its ``fault``.
            ModelForbidden: the principal may not use the sensor's model.
            NotReady: the sensor is paused, the model is not loaded, or the store does not answer.
            Unsupported: the model takes images, or other windows than the sensor's.
            Overloaded: there are too many channels, or no memory.
        """

    async def classify_messages(
        self,
        sensor: str,
        messages: Sequence[Samples],
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
    ) -> Sequence[SensorAnswer]:
        """Commit windows of messages that any replica may receive (shared subscriptions).

        No channel and no ``safe``: each message is windowed by itself, so ``first`` must be a
        multiple of the stride; a part of a window is dropped and counted. Returns after the
        commit: acknowledge then. A window that was committed before is answered from the store.

        Args:
            epoch: None: the server makes an id; a message that comes again counts again.

        Raises:
            As ``open`` but EpochRefused; InvalidTensor: wrong channels, or ``first`` is no
                multiple of the stride.
        """

    async def classify(
        self, sensor: str, window: NDArray[np.float32], *, principal: Principal | None
    ) -> SensorAnswer:
        """Answer one window of shape [length, channels]; commits nothing (``epoch`` is 0).

        Raises:
            NotFound, ModelForbidden, NotReady, Unsupported: as ``open``.
            InvalidTensor: wrong shape, or not finite with a model that refuses that.
            Overloaded, DeadlineExceeded, InferenceFailed: as a photo.
        """

    def subscribe(self, taker: Callable[[str, Sequence[SensorAnswer]], None]) -> Callable[[], None]:
        """Call ``taker`` with a sensor's name and new answers, after each commit of this process.

        Answers that were stored before are among them. Returns what ends the subscription.
        """


class SensorStore(Protocol):
    """The store as the intake needs it.

    Every method raises ``NotReady``; then nothing is stored.
    """

    async def all(self) -> Sequence[StoredSensor]:
        """Return all sensors, by name."""

    async def get(self, name: str) -> StoredSensor | None:
        """Return one sensor, or None."""

    async def glance(self) -> Sequence[Glance]:
        """Return the revision of every sensor: one query, which writes nothing."""

    async def claim(self, claim: Claim) -> ClaimedEpoch:
        """Make the channel the owner of the epoch, in one transaction.

        A second claim of the same epoch takes it over. Ends the ownership of older epochs.

        Raises:
            NotFound: there is no such sensor.
            EpochRefused: another epoch has an owner and was seen after ``live_after``, or a newer
                one exists.
        """

    async def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Store all entries in one transaction; one outcome for each, in order.

        An entry whose owner is not the epoch's stores nothing. ``INSERT ... ON CONFLICT DO
        NOTHING`` decides whether a window is new.
        """

    async def silence(self, sensor: str, *, seen_before: float, at: float) -> SensorEvent | None:
        """Mark a sensor as silent; return the event.

        None if it is silent already, is paused, or has a sample since ``seen_before``.
        """


class SensorMetrics(Protocol):
    """Counts for operators. The number of sensors bounds the labels."""

    def begin(self, sensor: str) -> None:
        """Create the series of a sensor that this process serves; idempotent."""

    def end(self, sensor: str) -> None:
        """Remove the series of a sensor that was removed."""

    def count_samples(self, sensor: str, door: Door, samples: int) -> None:
        """Add samples that were offered; called each second, not for each message."""

    def count_windows(self, sensor: str, windows: int) -> None:
        """Add windows that were committed with an answer."""

    def count_fault(self, sensor: str, fault: SensorFault, times: int = 1) -> None:
        """Add faults."""

    def count_gap(self, sensor: str, missing: int) -> None:
        """Add a gap of so many samples."""

    def observe_lag(self, seconds: float) -> None:
        """Add a time from the arrival of a window's last sample to its commit."""

    def set_channels(self, door: Door, channels: int) -> None:
        """Set the number of open channels."""

    def set_buffer(self, held: int, limit: int) -> None:
        """Set the bytes of samples in memory, and how many are allowed."""

    def set_silent(self, sensor: str, *, is_silent: bool) -> None:
        """Set whether a sensor is silent."""

    def set_state(self, sensor: str, state: str) -> None:
        """Set the state of a sensor."""

    def count_event(self, kind: str) -> None:
        """Count a kept event: ``state``, ``silent`` or ``back``."""
