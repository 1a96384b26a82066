"""The messages of one topic on their way into a channel, and their acknowledgement.

A message is acknowledged when its samples are safe; at once, if it is malformed or smaller than a
window: the broker would send no further ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.errors import InvalidTensor, NotFound, NotReady, Overloaded, ServiceError
from schemas.sensor_wire.frames import DEFAULT_MAX_FRAME_BYTES, FrameDecoder, WireError, from_device
from schemas.sensor_wire.messages import MAX_CREDIT, Ack, Data, Error, Message, Ping, encode, parse
from schemas.sensors import SensorAnswer, SensorFault
from service.coordination.retrying import Clock, backoff
from service.sensors.ingest.ports import Channel, Ending, Intake, Samples
from service.sensors.mqtt.payloads import BadPayload, Payload, read_payload
from service.sensors.mqtt.subscription import Delivery
from service.sensors.mqtt.topics import Stream
from service.sensors.records import EpochRefused

MAX_WAITING = 256
"""Messages that wait for a channel or for its credit; further ones are dropped."""
LONGEST_SECONDS = 5.0
REFUSED_SECONDS = 5.0
"""After a refusal, messages are dropped for so long, without another attempt."""
Fate = Literal["unknown", "refused", "malformed", "dropped", "early"]


@dataclass(frozen=True, slots=True)
class FeedTools:
    """Shared by all feeds.

    Attributes:
        acknowledge: lets the broker forget a message.
        note: says that ``Feed.frames`` has something to send.
        count: counts messages that were not taken; with a reason for the log.
        names: of the channels of a model, for line protocol; empty if it has none.
        max_frame_bytes: payload of a message at most.
    """

    intake: Intake
    acknowledge: Callable[[Delivery], None]
    note: Callable[[Feed], None]
    count: Callable[[str, Fate, str], None]
    names: Callable[[str], Sequence[str]]
    max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES
    clock: Clock = Clock()  # noqa: RUF009 - frozen


class Feed:
    """One topic of data. Implements ``Listener``."""

    def __init__(self, stream: Stream, tools: FeedTools, on_end: Callable[[Feed], None]) -> None:
        """``on_end``: called when nothing of this feed is left."""
        self.stream = stream
        self.refused_until = 0.0
        self._tools, self._on_end = tools, on_end
        self._channel: Channel | None = None
        self._names: Sequence[str] = ()
        self._opening: asyncio.Task[None] | None = None
        self._waiting: deque[Delivery] = deque()
        self._offered: deque[tuple[int, Delivery]] = deque()
        self._is_paused = self._is_draining = self._owes_ack = False
        self._refused_end = 0
        self._errors: list[Message] = []

    @property
    def is_open(self) -> bool:
        """Whether there is a channel, or one is being opened."""
        return self._channel is not None or self._opening is not None

    def take(self, delivery: Delivery) -> None:
        """Take a message; it is acknowledged in time."""
        if delivery.size > self._tools.max_frame_bytes + 64:
            detail = f"a message has at most {self._tools.max_frame_bytes} bytes"
            self._refuse(delivery, SensorFault.TOO_LARGE, detail)
        elif self._channel is None or self._waiting:
            if len(self._waiting) >= MAX_WAITING:
                self._refuse(delivery, SensorFault.OVERLOADED, "too many messages wait", "dropped")
                return
            self._waiting.append(delivery)
            if not self.is_open:
                self._opening = asyncio.create_task(self._open())
        elif not self._offer(delivery):
            self._waiting.append(delivery)

    def frames(self) -> bytes:
        """Return what is owed to the device: errors, and one ACK."""
        messages, self._errors = self._errors, []
        if self._owes_ack and self._channel is not None:
            credit = min(self._channel.credit, MAX_CREDIT)
            messages.append(Ack(self._channel.next_sequence, credit))
        self._owes_ack = False
        return b"".join(map(encode, messages))

    def release_tail(self) -> None:
        """Acknowledge messages that only wait for the samples after them.

        Called when the broker may send no further messages, which may be the awaited ones.
        """
        if (channel := self._channel) is None:
            return
        if self._offered and not _is_working(channel):
            self._tools.count(self.stream.sensor, "early", "acknowledged before it is safe")
            self._acknowledge_offered(channel.received)

    async def close(self) -> None:
        """Finish what is complete, and acknowledge what is safe then."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
            self._acknowledge_offered(channel.next_sequence)

    # Listener

    def safe(self, sequence: int, credit: int) -> None:
        """See ``Listener``."""
        del credit
        self._acknowledge_offered(sequence)
        self._owe_ack()
        self._drain()

    def result(self, answer: SensorAnswer) -> None:
        """Nothing: all answers are published from the store."""

    def fault(self, fault: SensorFault, detail: str) -> None:
        """See ``Listener``."""
        if self.stream.is_framed:
            self._fail(Error(fault.value, detail))

    def pause(self) -> None:
        """See ``Listener``."""
        self._is_paused = True

    def resume(self) -> None:
        """See ``Listener``."""
        self._is_paused = False
        self._drain()

    def closed(self, reason: Ending) -> None:
        """See ``Listener``."""
        self._channel, self._is_paused, self._refused_end = None, False, 0
        offered = [delivery for _, delivery in self._offered]
        self._offered.clear()
        if reason == "drained":  # the broker sends them again after the start
            return
        if reason == "removed" or self.stream.is_framed:
            for one in offered:
                self._done(one)
        else:
            self._waiting.extendleft(reversed(offered))
        if self._waiting:
            self._opening = asyncio.create_task(self._open())
        else:
            self._on_end(self)

    # Opening

    async def _open(self) -> None:
        failures = 0
        while True:
            try:
                await self._open_once()
            except (NotReady, Overloaded) as error:
                if self.stream.is_framed:  # it sends again what is not safe
                    self._refuse_all(error, "refused")
                    return
                failures += 1
                await self._tools.clock.sleep(
                    backoff(failures, LONGEST_SECONDS, self._tools.clock.jitter)
                )
            except NotFound as error:
                self._refuse_all(error, "unknown")
                return
            except ServiceError as error:
                self._refuse_all(error, "refused")
                return
            else:
                return

    async def _open_once(self) -> None:
        stream = self.stream
        channel = await self._tools.intake.open(
            stream.sensor, epoch=stream.epoch, principal=None, door="mqtt", listener=self
        )
        self._names = self._tools.names(channel.spec.model)
        self._channel, self._opening = channel, None
        self._owe_ack()
        self._drain()

    def _refuse_all(self, error: ServiceError, fate: Fate) -> None:
        self._opening = None
        self.refused_until = self._tools.clock.now() + REFUSED_SECONDS
        code = error.fault.value if isinstance(error, EpochRefused) else error.code.value
        is_stale = isinstance(error, EpochRefused) and error.fault is SensorFault.STALE_EPOCH
        self._fail(Error(code, error.detail, fatal=is_stale))
        while self._waiting:
            self._tools.count(self.stream.sensor, fate, error.detail)
            self._done(self._waiting.popleft())
        self._on_end(self)

    # Samples

    def _drain(self) -> None:
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while self._waiting and self._channel is not None and self._offer(self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._is_draining = False

    def _offer(self, delivery: Delivery) -> bool:
        """Offer a message; return whether it was taken or refused. Else it must wait."""
        channel = self._channel
        if channel is None:
            return False
        if self.stream.is_framed:
            self._offer_frames(delivery, channel)
            return True
        channels = channel.spec.channels
        try:
            payload = read_payload(delivery.payload, channels, delivery.content_type, self._names)
        except BadPayload as error:
            self._refuse(delivery, error.fault, str(error))
            return True
        return self._offer_samples(delivery, channel, payload)

    def _offer_samples(self, delivery: Delivery, channel: Channel, payload: Payload) -> bool:
        under_way = (channel.received - channel.next_sequence) * 4 * channel.spec.channels
        is_working = _is_working(channel)  # else nothing becomes safe without further samples
        if self._is_paused or (is_working and under_way + payload.values.nbytes > channel.credit):
            return False
        try:
            end = channel.offer(Samples(payload.first, payload.values, payload.at))
        except InvalidTensor as error:
            self._refuse(delivery, SensorFault.WRONG_CHANNELS, error.detail)
            return True
        except Overloaded as error:
            if is_working:
                return False
            self._refuse(delivery, SensorFault.OVERLOADED, error.detail, "dropped")
            return True
        self._keep(delivery, end, is_whole=len(payload.values) >= channel.length)
        return True

    def _offer_frames(self, delivery: Delivery, channel: Channel) -> None:
        """Offer the frames of a message.

        Samples after a gap are refused until the device has gone back: a broker may lose messages,
        and the device has them still, or goes back as far as it can.
        """
        decoder, is_whole = FrameDecoder(from_device(self._tools.max_frame_bytes)), False
        end = channel.received
        try:
            for frame in decoder.feed(delivery.payload):
                message = parse(frame)
                if isinstance(message, Ping):
                    channel.touch()
                    self._owe_ack()
                elif isinstance(message, Data) and self._is_next(message, delivery, channel):
                    limit = self._tools.max_frame_bytes
                    values = message.values(channel.spec.channels, limit)
                    end = channel.offer(Samples(message.first, values, message.at))
                    is_whole |= message.count >= channel.length
            if decoder.held_bytes:
                raise WireError("The last frame is not complete.")
        except WireError as error:
            self._fail(Error(error.fault.value, error.detail))
            self._refuse(delivery, error.fault, error.detail)
        except InvalidTensor as error:
            self._fail(Error(SensorFault.WRONG_CHANNELS.value, error.detail))
            self._refuse(delivery, SensorFault.WRONG_CHANNELS, error.detail)
        except Overloaded as error:
            self._owe_ack()
            self._refuse(delivery, SensorFault.OVERLOADED, error.detail, "dropped")
        else:
            self._keep(delivery, end, is_whole=is_whole)

    def _is_next(self, data: Data, delivery: Delivery, channel: Channel) -> bool:
        if data.first > channel.received:
            has_gone_back = data.first < self._refused_end and not delivery.is_again
            if not has_gone_back:
                self._refused_end = max(self._refused_end, data.first + data.count)
                self._owe_ack()
                return False
        self._refused_end = 0
        return True

    def _keep(self, delivery: Delivery, end: int, *, is_whole: bool) -> None:
        """Acknowledge a message when the samples below ``end`` are safe."""
        if not is_whole or self._channel is None or end <= self._channel.next_sequence:
            self._done(delivery)
        else:
            self._offered.append((end, delivery))

    def _acknowledge_offered(self, sequence: int) -> None:
        offered = self._offered
        while offered and offered[0][0] <= sequence:
            self._done(offered.popleft()[1])

    def _refuse(
        self, delivery: Delivery, fault: SensorFault, detail: str, fate: Fate = "malformed"
    ) -> None:
        if self._channel is not None:
            self._channel.report(fault, detail)
        self._tools.count(self.stream.sensor, fate, detail)
        self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        self._tools.acknowledge(delivery)

    def _owe_ack(self) -> None:
        if self.stream.is_framed and not self._owes_ack:
            self._owes_ack = True
            self._tools.note(self)

    def _fail(self, error: Error) -> None:
        if self.stream.is_framed and len(self._errors) < 8:
            self._errors.append(error)
            self._tools.note(self)


def _is_working(channel: Channel) -> bool:
    """Return whether a complete window is not committed yet."""
    received, length, stride = channel.received, channel.length, channel.stride
    open_from = 0 if received < length else ((received - length) // stride + 1) * stride
    return channel.next_sequence < open_from
