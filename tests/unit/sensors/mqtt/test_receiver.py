"""Routing of messages, and when each one is acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from schemas.errors import NotReady
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder
from schemas.sensor_wire.messages import Ack, Error, Message, Ping, data_of, encode, parse
from schemas.sensors import SensorFault, SensorSpec
from service.coordination.retrying import Clock
from service.mqtt.link import BrokerAway
from service.sensors.mqtt.feed import MAX_WAITING
from service.sensors.mqtt.receiver import Receiver
from service.sensors.mqtt.subscription import Delivery, Take
from service.sensors.mqtt.topics import SensorTopics
from service.sensors.records import EpochRefused
from tests.support.results.fakes import Time
from tests.support.sensors.mqtt.intake import SPEC, FakeIntake
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

WINDOW = np.arange(4, dtype="<f4").tobytes()


class FakeConnection:
    """A subscription whose messages a test delivers."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.acknowledged: list[int] = []
        self.sent: list[tuple[str, bytes]] = []
        self._end: asyncio.Future[BrokerAway] = asyncio.get_running_loop().create_future()

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.acknowledged += [one.mid for one in deliveries]

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.sent += messages

    async def lost(self) -> BrokerAway:
        return await asyncio.shield(self._end)

    def cut(self) -> None:
        self._end.set_result(BrokerAway("cut"))


class Bench:
    """A receiver between a fake connection and a fake intake."""

    def __init__(self, intake: FakeIntake | None = None, *, shared: bool = False) -> None:
        self.intake = intake or FakeIntake("pump", "fan")
        self.connections: list[FakeConnection] = []
        self.counts: Counter[str] = Counter()
        self.time = Time()
        self._shared, self._mid = shared, 0

    @asynccontextmanager
    async def _open(self, take: Take) -> AsyncIterator[FakeConnection]:
        self.connections.append(FakeConnection(take))
        yield self.connections[-1]

    async def _spec(self, sensor: str) -> SensorSpec | None:
        return SPEC if sensor in self.intake.sensors else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeConnection]:
        receiver = Receiver(
            self._open,
            self.intake,
            SensorTopics("potoo"),
            names=lambda _: (),
            count=lambda outcome, number: self.counts.update({outcome: number}),
            up=lambda _: None,
            max_frame_bytes=2**16,
            shared_specs=self._spec if self._shared else None,
            clock=Clock(self.time.now, self.time.sleep, lambda: 1.0),
        )
        task = asyncio.create_task(receiver.run())
        try:
            await eventually(lambda: bool(self.connections))
            yield self.connections[-1]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def deliver(
        self, payload: bytes, topic: str = "pump/data", mid: int = 0, *, is_again: bool = False
    ) -> int:
        self._mid += 1
        mid = mid or self._mid
        connection = self.connections[-1]
        connection.take(
            [
                Delivery(
                    f"potoo/sensors/{topic}",
                    payload,
                    mid,
                    is_again=is_again,
                    size=len(payload),
                    connection=connection,
                )
            ]
        )
        return mid

    def heard(self) -> list[Message]:
        """The messages that the device was sent."""
        decoder = FrameDecoder(FROM_SERVER)
        data = b"".join(payload for _, payload in self.connections[-1].sent)
        return [parse(frame) for frame in decoder.feed(data)]


def frames(first: int, count: int = 4) -> bytes:
    values = np.arange(first, first + count, dtype=np.float32).reshape(-1, 1)
    return encode(data_of(first, values))


async def test_message_is_acknowledged_when_its_samples_are_safe() -> None:
    bench = Bench()
    bench.intake.commits = False
    async with bench.running() as connection:
        mid = bench.deliver(WINDOW)
        await eventually(lambda: bool(bench.intake.channels))
        await eventually(lambda: bool(bench.intake.of("pump").offered))
        assert not connection.acknowledged
        bench.intake.of("pump").commit()
        await eventually(lambda: connection.acknowledged == [mid])


async def test_message_smaller_than_a_window_is_acknowledged_at_once() -> None:
    bench = Bench()
    async with bench.running() as connection:
        bench.deliver(WINDOW[:8])
        await eventually(lambda: connection.acknowledged == [1])
        assert bench.intake.of("pump").values == [0, 1]


async def test_messages_that_wait_for_each_other_do_not_block_the_broker() -> None:
    """Of 9 sensors, each message ends within a window, and the broker sends no further one."""
    bench = Bench(FakeIntake(*(f"s{n}" for n in range(9))))
    async with bench.running() as connection:
        for number in range(9):
            bench.deliver(np.arange(6, dtype="<f4").tobytes(), f"s{number}/data")
        await eventually(lambda: len(connection.acknowledged) == 9)
        assert bench.counts["early"] == 9


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"\x00\x00\x80", SensorFault.BAD_DATA),
        (b'{"samples": "none at all"}', SensorFault.BAD_DATA),
        (b"[[1, 2], [3, 4], [5, 6]]", SensorFault.WRONG_CHANNELS),
        (bytes(2**17), SensorFault.TOO_LARGE),
    ],
)
async def test_malformed_message_is_counted_and_acknowledged(
    payload: bytes, fault: SensorFault
) -> None:
    bench = Bench()
    async with bench.running() as connection:
        bench.deliver(WINDOW)
        await eventually(lambda: connection.acknowledged == [1])
        bench.deliver(payload)
        bench.deliver(WINDOW)
        await eventually(lambda: connection.acknowledged == [1, 2, 3])
        assert [one for one, _ in bench.intake.of("pump").faults] == [fault]
        assert bench.counts["malformed"] == 1


async def test_unknown_sensor_is_asked_for_once_in_a_while() -> None:
    bench = Bench()
    async with bench.running() as connection:
        for _ in range(3):
            mid = bench.deliver(WINDOW, "ghost/data")
            await eventually(lambda: connection.acknowledged[-1:] == [mid])  # noqa: B023 - at once
        assert bench.intake.opened == 1
        bench.time.seconds += 10
        bench.intake.sensors.add("ghost")
        bench.deliver(WINDOW, "ghost/data")
        await eventually(lambda: len(connection.acknowledged) == 4)
        assert bench.intake.of("ghost").values == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "topic",
    ["pump/data/x", "pump/data/01", "pump/data/9223372036854775808", "Pump/data", "a/b/c/d"],
)
async def test_topic_without_a_sensor_is_acknowledged(topic: str) -> None:
    bench = Bench()
    async with bench.running() as connection:
        bench.deliver(WINDOW, topic)
        await eventually(lambda: connection.acknowledged == [1])
        assert not bench.intake.opened


async def test_message_waits_until_the_server_is_ready() -> None:
    bench = Bench()
    bench.intake.refusals = [NotReady("The model is loading.", retry_after=1)] * 3
    async with bench.running() as connection:
        for _ in range(MAX_WAITING + 1):
            bench.deliver(WINDOW)
        await eventually(lambda: len(connection.acknowledged) == MAX_WAITING + 1)
        assert bench.counts["dropped"] == 1
        assert len(bench.intake.of("pump").offered) == MAX_WAITING


async def test_message_waits_for_credit() -> None:
    bench = Bench()
    bench.intake.commits = False
    async with bench.running() as connection:
        bench.deliver(WINDOW)
        await eventually(lambda: bool(bench.intake.channels))
        channel = bench.intake.of("pump")
        channel.credit = 16
        bench.deliver(WINDOW)
        await eventually(lambda: len(channel.offered) == 1)
        channel.commit()
        assert len(channel.offered) == 2
        await eventually(lambda: connection.acknowledged == [1])


async def test_message_does_not_wait_for_a_window_that_needs_it() -> None:
    bench = Bench()
    async with bench.running():
        bench.deliver(np.arange(6, dtype="<f4").tobytes())
        await eventually(lambda: bool(bench.intake.channels))
        channel = bench.intake.of("pump")
        await eventually(lambda: channel.next_sequence == 4)
        channel.credit = 20
        bench.deliver(np.arange(6, 18, dtype="<f4").tobytes())
        await eventually(lambda: channel.received == 18)


async def test_message_that_comes_again_on_a_new_connection_is_offered_once() -> None:
    bench = Bench()
    bench.intake.commits = False
    async with bench.running() as connection:
        bench.deliver(WINDOW, mid=1)
        await eventually(lambda: bool(bench.intake.channels))
        channel = bench.intake.of("pump")
        bench.deliver(WINDOW, mid=2)
        channel.next_sequence = 4
        channel.listener.safe(4, 100)  # of the first alone
        await eventually(lambda: connection.acknowledged == [1])
        connection.cut()
        await eventually(lambda: len(bench.connections) == 2)
        bench.deliver(WINDOW, mid=1, is_again=True)  # the broker did not see the acknowledgement
        bench.deliver(WINDOW, mid=2, is_again=True)
        channel.commit()
        await eventually(lambda: bench.connections[-1].acknowledged == [1, 2])
        assert len(channel.offered) == 2


async def test_numbered_json_has_a_channel_of_its_epoch() -> None:
    bench = Bench()
    async with bench.running() as connection:
        bench.deliver(b'{"samples": [1, 2, 3, 4], "epoch": 7, "sequence": 8}')
        await eventually(lambda: connection.acknowledged == [1])
        assert bench.intake.channels["pump", 7].offered[0].first == 8


async def test_frames_are_numbered_and_answered() -> None:
    bench = Bench()
    async with bench.running() as connection:
        bench.deliver(encode(Ping()), "pump/data/7")
        await eventually(lambda: bench.heard() == [Ack(0, 2**20)])
        bench.deliver(frames(0) + frames(4), "pump/data/7")
        await eventually(lambda: bench.heard()[-1] == Ack(8, 2**20))
        assert connection.sent[0][0] == "potoo/sensors/pump/ack/7"
        assert connection.acknowledged == [1, 2]


async def test_samples_that_a_broker_lost_are_asked_for() -> None:
    bench = Bench()
    async with bench.running():
        bench.deliver(frames(0), "pump/data/7")
        await eventually(lambda: bench.heard()[-1:] == [Ack(4, 2**20)])
        channel = bench.intake.channels["pump", 7]
        bench.deliver(frames(8), "pump/data/7")  # 4 to 7 are missing
        bench.deliver(frames(12), "pump/data/7")
        await eventually(lambda: len(bench.heard()) >= 3)
        assert bench.heard()[-1] == Ack(4, 2**20)
        assert len(channel.offered) == 1
        for first in (4, 8, 12):  # the device goes back
            bench.deliver(frames(first), "pump/data/7")
        await eventually(lambda: bench.heard()[-1] == Ack(16, 2**20))
        assert channel.values == list(range(16))


async def test_gap_is_taken_when_the_device_has_no_more() -> None:
    bench = Bench()
    async with bench.running():
        bench.deliver(frames(8), "pump/data/7")
        await eventually(lambda: bench.heard()[-1:] == [Ack(0, 2**20)])
        bench.deliver(frames(8), "pump/data/7")  # its oldest samples
        await eventually(lambda: bench.heard()[-1] == Ack(12, 2**20))


async def test_damaged_frame_is_reported_to_the_device() -> None:
    bench = Bench()
    damaged = bytearray(frames(0))
    damaged[-1] ^= 1
    async with bench.running() as connection:
        bench.deliver(bytes(damaged), "pump/data/7")
        bench.deliver(frames(0)[:-1], "pump/data/7")
        await eventually(lambda: len(connection.acknowledged) == 2)
        errors = [one for one in bench.heard() if isinstance(one, Error)]
        assert [one.code for one in errors] == ["bad_data", "bad_data"]
        assert len(bench.intake.channels["pump", 7].faults) == 2


@pytest.mark.parametrize("fault", [SensorFault.IN_USE, SensorFault.STALE_EPOCH])
async def test_refused_epoch_is_reported_to_the_device(fault: SensorFault) -> None:
    bench = Bench()
    bench.intake.refusals = [EpochRefused(fault)]
    async with bench.running() as connection:
        bench.deliver(frames(0), "pump/data/7")
        await eventually(lambda: connection.acknowledged == [1])
        (error,) = bench.heard()
        assert isinstance(error, Error)
        assert (error.code, error.fatal) == (fault.value, fault is SensorFault.STALE_EPOCH)


async def test_changed_sensor_goes_on_with_what_is_not_safe() -> None:
    bench = Bench()
    bench.intake.commits = False
    async with bench.running() as connection:
        bench.deliver(WINDOW)
        await eventually(lambda: bool(bench.intake.channels))
        bench.intake.commits = True
        bench.intake.of("pump").end("changed")
        await eventually(lambda: connection.acknowledged == [1])
        assert bench.intake.opened == 2


async def test_shared_messages_are_windowed_by_themselves() -> None:
    bench = Bench(shared=True)
    bench.intake.refusals = [NotReady("The store does not answer.", retry_after=1)]
    async with bench.running() as connection:
        bench.deliver(WINDOW)
        bench.deliver(b"[1, 2")
        bench.deliver(WINDOW, "ghost/data")
        bench.deliver(b'{"samples": [1, 2, 3, 4], "epoch": 7, "sequence": 8}')
        await eventually(lambda: sorted(connection.acknowledged) == [1, 2, 3, 4])
        found = [
            (sensor, epoch, [one.first for one in messages])
            for sensor, epoch, messages in bench.intake.messages
        ]
    assert found == [("pump", None, [None]), ("pump", 7, [8])]
    assert (bench.counts["unknown"], bench.counts["malformed"]) == (1, 1)
