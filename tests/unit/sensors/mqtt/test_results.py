"""Answers and states of sensors: what is published, in order, and what is saved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from observability.metrics.result_metrics import ResultMetrics
from schemas.sensors import Sensor, SensorCounts, SensorFault, SensorStatus
from service.coordination.ports import OutputCursor
from service.coordination.retrying import Clock
from service.mqtt.discovery import SENSOR, Discovery
from service.mqtt.link import BrokerAway, Message
from service.mqtt.output import Output
from service.sensors.answer_feed import HOLE_SECONDS, AnswerFeed
from service.sensors.mqtt.results import NAME, PACE, SensorMessages
from service.sensors.mqtt.topics import SensorTopics, Stream
from service.sensors.records import KeptAnswer, Mark
from tests.support.results.fakes import BEGIN, FakeCursors, Time
from tests.support.sensors.mqtt.intake import SPEC
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
TOPICS = SensorTopics("home/potoo")


def kept(number: int, sensor: str = "pump") -> KeptAnswer:
    return KeptAnswer(number, sensor, BEGIN, json.dumps({"first_sequence": number}))


def sensor(
    name: str = "pump",
    state: str | None = "worn",
    status: SensorStatus = SensorStatus.RECEIVING,
    fault: SensorFault | None = None,
) -> Sensor:
    return Sensor(
        name=name,
        spec=SPEC,
        is_configured=False,
        status=status,
        state=state,
        since=BEGIN,
        answer=None,
        last_sample_at=BEGIN,
        measured_rate=None,
        lag_seconds=None,
        door="mqtt",
        fault=fault,
        counts=SensorCounts(),
    )


class FakeAnswers:
    """The kept answers."""

    def __init__(self, *answers: KeptAnswer) -> None:
        self.kept = list(answers)

    async def after_of_all(self, cursor: int, limit: int) -> Sequence[KeptAnswer]:
        return [one for one in self.kept if one.id > cursor][:limit]

    async def newest_id(self) -> int:
        return max((one.id for one in self.kept), default=0)


class FakeSensors:
    """Sensors, and which of them were read."""

    def __init__(self, *sensors: Sensor) -> None:
        self.all = {one.name: one for one in sensors}
        self.unknown: set[str] = set()
        self.read: list[str] = []
        self.looks, self.may_look = 0, asyncio.Event()
        self.may_look.set()

    async def marks(self) -> Mapping[str, Mark]:
        self.looks += 1
        await self.may_look.wait()
        return {
            name: None if name in self.unknown else (one.state, one.status)
            for name, one in self.all.items()
        }

    async def some(self, names: Sequence[str]) -> Sequence[Sensor]:
        self.read += names
        return [self.all[name] for name in names if name in self.all]


class FakeLink:
    """A connection that records batches of messages."""

    def __init__(self) -> None:
        self.batches: list[list[Message]] = []

    async def publish(self, message: Message) -> None:
        self.batches.append([message])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        self.batches.append(list(messages))

    async def lost(self) -> BrokerAway:
        await asyncio.Event().wait()
        return BrokerAway("cut")

    def retained_topics(self) -> frozenset[str]:
        return frozenset()

    def results(self) -> list[int]:
        return [
            json.loads(one.payload)["first_sequence"]
            for batch in self.batches
            for one in batch
            if one.topic.endswith("/result")
        ]


class Bench:
    """The output of sensors with fakes around it."""

    def __init__(self, *sensors: Sensor, saved: int = 0, max_waiting: int = 10_000) -> None:
        self.answers, self.link = FakeAnswers(), FakeLink()
        self.feed = AnswerFeed(self.answers, has_holes=False)
        self.cursors = FakeCursors(**{NAME: OutputCursor(saved)})
        self.time = Time()
        discovery = Discovery("homeassistant", TOPICS, "1", SENSOR)
        self.sensors = FakeSensors(*sensors)
        self.output = Output(
            NAME,
            self._open,
            status=TOPICS.status,
            devices=SensorMessages(self.sensors, TOPICS, discovery),
            events=self.feed,
            cursors=self.cursors,
            metrics=ResultMetrics(CollectorRegistry()).output("mqtt_sensors", NAME),
            max_waiting=max_waiting,
            pace=PACE,
            clock=Clock(self.time.now, self.time.sleep, lambda: 1.0),
        )

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[FakeLink]:
        yield self.link

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.output.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_answers_are_published_in_batches_and_the_cursor_is_saved() -> None:
    bench = Bench()
    bench.answers.kept = [kept(number) for number in range(1, 1202)]
    async with bench.running():
        await eventually(lambda: len(bench.link.results()) == 1201)
    assert bench.link.results() == list(range(1, 1202))
    sizes = [len(batch) for batch in bench.link.batches if len(batch) > 1]
    assert sizes == [500, 500, 201]
    assert bench.cursors.saved[NAME] == OutputCursor(1201)


async def test_answer_is_published_when_it_is_stored() -> None:
    bench = Bench(saved=3)
    async with bench.running():
        await eventually(lambda: len(bench.link.batches) > 0)
        bench.answers.kept = [kept(number) for number in range(1, 5)]
        bench.feed.announce()
        await eventually(lambda: bench.link.results() == [4])
    assert bench.link.batches[-2][0].topic == "home/potoo/sensors/pump/result"
    assert not bench.link.batches[-2][0].is_retained


async def test_answers_do_not_wait_for_a_look_at_the_sensors() -> None:
    bench = Bench(sensor())
    async with bench.running():
        await eventually(lambda: len(bench.link.batches) == 2)
        bench.sensors.may_look.clear()
        bench.time.seconds += PACE.look_seconds
        bench.answers.kept = [kept(1)]
        bench.feed.announce()
        await eventually(lambda: bench.sensors.looks == 2 and bench.link.results() == [1])


async def test_oldest_answers_are_dropped_when_too_many_wait() -> None:
    bench = Bench(max_waiting=10)
    bench.answers.kept = [kept(number) for number in range(1, 101)]
    async with bench.running():
        await eventually(lambda: len(bench.link.results()) == 10)
    assert bench.link.results() == list(range(91, 101))
    assert bench.cursors.saved[NAME] == OutputCursor(100, dead=90)


async def test_sensor_is_announced_with_state_and_problem() -> None:
    silent = sensor("fan", None, SensorStatus.SILENT)
    bench = Bench(sensor(fault=SensorFault.GAP), silent)
    async with bench.running():
        await eventually(lambda: len(bench.link.batches) == 2)
        found = {one.topic: one.payload for batch in bench.link.batches for one in batch}
    root = "home/potoo/sensors"
    assert found[f"{root}/pump/state/plain"] == b"worn"
    assert found[f"{root}/fan/state/plain"] == b"unknown"
    assert found[f"{root}/pump/availability"] == b"online"
    assert found[f"{root}/fan/availability"] == b"offline"
    assert json.loads(found[f"{root}/pump/problem"]) == {"problem": "ON", "reason": "gap"}
    assert json.loads(found[f"{root}/fan/problem"]) == {"problem": "ON", "reason": "silent"}
    config = json.loads(found["homeassistant/sensor/home_potoo_sensors_pump/state/config"])
    assert config["device"]["model"] == "Sensor"
    assert config["state_topic"] == f"{root}/pump/state"
    assert {one["topic"] for one in config["availability"]} == {
        f"{root}/status",
        f"{root}/pump/availability",
    }


async def test_messages_are_made_again_for_sensors_that_changed_or_may_have() -> None:
    sensors = FakeSensors(*(sensor(name) for name in ("a", "b", "c")))
    sensors.unknown.add("c")
    messages = SensorMessages(sensors, TOPICS, Discovery("", TOPICS, "1", SENSOR))
    first = await messages.messages()
    assert sensors.read == ["a", "b", "c"]
    sensors.all["b"] = sensor("b", "new")
    second = await messages.messages()
    assert sensors.read == ["a", "b", "c", "b", "c"]
    assert second["a"] is first["a"]
    assert second["b"] != first["b"]
    del sensors.all["a"]
    assert (await messages.messages()).keys() == {"b", "c"}


def test_topics_that_a_removed_sensor_leaves_are_all_retained_ones() -> None:
    published = {message.topic for message in TOPICS.of_sensor(sensor(), None)}
    assert published == set(TOPICS.retained("pump"))
    assert TOPICS.sensors_of(published) == {"pump"}


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        ("pump/data", Stream("pump")),
        ("pump/data/7", Stream("pump", 7, is_framed=True)),
        ("pump/data/07", None),
        ("pump/data/7/8", None),
        ("pump/result", None),
        ("PUMP/data", None),
    ],
)
def test_topic_names_a_stream(topic: str, stream: Stream | None) -> None:
    assert TOPICS.stream_of(f"home/potoo/sensors/{topic}") == stream


async def test_answers_behind_a_hole_wait_for_it() -> None:
    """On PostgreSQL, a row with a lower id may be stored later."""
    answers, time = FakeAnswers(kept(1), kept(2), kept(4)), Time()
    feed = AnswerFeed(answers, has_holes=True, clock=time.now)
    assert [one.id for one in await feed.after(0, 10)] == [1, 2]
    answers.kept.insert(2, kept(3))
    assert [one.id for one in await feed.after(2, 10)] == [3, 4]
    answers.kept.append(kept(9))
    time.seconds += HOLE_SECONDS
    assert [one.id for one in await feed.after(4, 10)] == [9]


async def test_answers_of_other_processes_are_found_by_looking() -> None:
    answers = FakeAnswers()
    feed = AnswerFeed(answers, has_holes=False, poll=0.01)
    waiting = asyncio.create_task(feed.wait(0, 60))
    await asyncio.sleep(0)
    answers.kept.append(KeptAnswer(1, "pump", datetime.now(UTC), "{}"))
    await waiting
