"""What is published, when, and what is saved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from observability.metrics.result_metrics import ResultMetrics
from schemas.cameras import CameraEvent, CameraStatus
from service.cameras.results.mqtt import NAME, CameraMessages
from service.cameras.results.topics import Topics
from service.coordination.ports import OutputCursor
from service.coordination.retrying import Clock
from service.mqtt.discovery import Discovery
from service.mqtt.link import BrokerAway, Message
from service.mqtt.output import Output
from tests.support.results.fakes import (
    BEGIN,
    FakeCameras,
    FakeCursors,
    FakeEvents,
    Time,
    camera,
    event,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class FakeLink:
    """A connection that records messages, and ends when ``cut`` is called."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.retained: set[str] = set()
        self._end: asyncio.Future[BrokerAway] = asyncio.get_running_loop().create_future()

    async def publish(self, message: Message) -> None:
        if self._end.done():
            raise self._end.result()
        self.published.append(message)

    async def publish_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self.publish(message)

    async def lost(self) -> BrokerAway:
        return await asyncio.shield(self._end)

    def retained_topics(self) -> frozenset[str]:
        return frozenset(self.retained)

    def cut(self) -> None:
        self._end.set_result(BrokerAway("cut"))

    def payloads(self, last: str) -> list[str]:
        return [one.payload.decode() for one in self.published if one.topic.endswith(f"/{last}")]


class Bench:
    """An MQTT output with fakes around it; ``links`` are its connections."""

    def __init__(self, *events: CameraEvent, max_waiting: int = 1000) -> None:
        self.events, self.cursors = FakeEvents(*events), FakeCursors()
        self.cameras, self.time = FakeCameras(camera()), Time()
        self.links: list[FakeLink] = []
        self.refusals = 0
        self.registry = CollectorRegistry()
        topics = Topics("home/potoo")
        discovery = Discovery("homeassistant", topics, "1.2.3")
        self._output = Output(
            NAME,
            self._open,
            status=topics.status,
            devices=CameraMessages(self.cameras, topics, discovery),
            events=self.events,
            cursors=self.cursors,
            metrics=ResultMetrics(self.registry).output("mqtt", NAME),
            max_waiting=max_waiting,
            clock=Clock(self.time.now, self.time.sleep, lambda: 1.0),
        )

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[FakeLink]:
        if self.refusals:
            self.refusals -= 1
            message = "refused"
            raise BrokerAway(message)
        self.links.append(FakeLink())
        yield self.links[-1]

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._output.run())
        try:
            await eventually(self.is_idle)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def is_idle(self) -> bool:
        return self.events.waiting > 0

    async def again(self) -> FakeLink:
        """Let it look at the cameras; return the connection that it then waits with."""
        looked = self.events.waits
        self.events.look()
        await eventually(lambda: self.events.waits > looked and self.is_idle())
        return self.link

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"output": "mqtt", **labels})


async def test_status_comes_first_then_discovery_then_states() -> None:
    bench = Bench()
    async with bench.running():
        topics = [one.topic for one in bench.link.published]
    assert topics == [
        "home/potoo/status",
        "homeassistant/sensor/home_potoo_door/state/config",
        "homeassistant/binary_sensor/home_potoo_door/problem/config",
        "home/potoo/cameras/door/state",
        "home/potoo/cameras/door/state/plain",
        "home/potoo/cameras/door/availability",
        "home/potoo/cameras/door/problem",
    ]
    assert bench.link.payloads("status") == ["online", "offline"]
    assert all(one.is_retained for one in bench.link.published)


async def test_only_changes_are_published() -> None:
    bench = Bench()
    async with bench.running():
        before = len(bench.link.published)
        await bench.again()
        assert len(bench.link.published) == before
        bench.cameras.all = [camera("door", "closed")]
        link = await bench.again()
        assert [one.topic for one in link.published[before:]] == [
            "home/potoo/cameras/door/state",
            "home/potoo/cameras/door/state/plain",
        ]


async def test_score_is_that_of_the_begin_of_the_state() -> None:
    bench = Bench()
    seen = camera()
    assert seen.answer
    async with bench.running():
        answer = seen.answer.model_copy(update={"score": 0.6})
        bench.cameras.all = [seen.model_copy(update={"answer": answer})]
        await bench.again()
        assert len(bench.link.payloads("state")) == 1
        later = {"answer": answer, "since": BEGIN + timedelta(seconds=5)}
        bench.cameras.all = [seen.model_copy(update=later)]
        link = await bench.again()
        assert json.loads(link.payloads("state")[-1])["score"] == 0.6


async def test_everything_is_published_again_on_a_new_connection() -> None:
    bench = Bench()
    async with bench.running():
        first = bench.link.published
        bench.link.cut()
        await eventually(lambda: len(bench.links) == 2 and bench.is_idle())
        assert bench.link.published == first
        assert bench.number("potoo_result_up") == 1
    assert bench.number("potoo_result_up") == 0


async def test_states_come_before_the_event_that_tells_of_them() -> None:
    bench = Bench()
    async with bench.running():
        bench.cameras.all = [camera("door", "closed")]
        bench.events.add(event(1))
        link = await bench.again()
        last = [one.topic.rpartition("/")[2] for one in link.published[-3:]]
        assert last == ["state", "plain", "event"]
        assert not link.published[-1].is_retained
        assert json.loads(link.published[-1].payload) == event(1).model_dump(mode="json")
        assert bench.cursors.saved[NAME] == OutputCursor(1)


async def test_removed_camera_leaves_nothing() -> None:
    bench = Bench()
    async with bench.running():
        kept = {one.topic for one in bench.link.published} - {"home/potoo/status"}
        bench.cameras.all = []
        link = await bench.again()
        removed = [one for one in link.published if not one.payload]
        assert {one.topic for one in removed} == kept
        assert removed[-1].topic.endswith("/availability")
        before = len(link.published)
        await bench.again()
        assert len(link.published) == before


async def test_camera_that_the_broker_remembers_is_removed() -> None:
    bench = Bench()
    async with bench.running():
        bench.link.retained = {
            "home/potoo/cameras/door/availability",
            "home/potoo/cameras/old/availability",
        }
        await bench.again()
        await bench.again()
        removed = [one.topic for one in bench.link.published if not one.payload]
        assert len(removed) == 6
        assert all("old" in topic for topic in removed)


async def test_pauses_grow_while_the_broker_is_away() -> None:
    bench = Bench()
    bench.refusals = 9
    async with bench.running():
        pauses = [pause for pause in bench.time.slept if pause >= 1]
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_short_connections_do_not_end_the_growing_of_pauses() -> None:
    bench = Bench()
    async with bench.running():
        while len(bench.links) < 5:
            ended = bench.link
            ended.cut()
            await eventually(lambda: bench.link is not ended and bench.is_idle())  # noqa: B023 - awaited here
        assert [pause for pause in bench.time.slept if pause >= 1] == [1, 2, 4, 8]


async def test_events_that_wait_are_bounded_and_the_oldest_are_dropped() -> None:
    bench = Bench(max_waiting=60)
    bench.cursors.saved[NAME] = OutputCursor(3)
    bench.events.kept = [event(number) for number in range(1, 201) if number % 10]
    bench.refusals = 1
    async with bench.running():
        sent = [json.loads(payload)["id"] for payload in bench.link.payloads("event")]
    assert sent == [number for number in range(141, 201) if number % 10]
    # 4 to 140, without every tenth.
    assert bench.number("potoo_result_deliveries_total", outcome="dropped") == 123
    assert bench.cursors.saved[NAME] == OutputCursor(199, dead=123)


async def test_a_new_output_begins_with_the_next_event() -> None:
    bench = Bench(event(1))
    async with bench.running():
        bench.events.add(event(2))
        link = await bench.again()
        assert [json.loads(one)["id"] for one in link.payloads("event")] == [2]


async def test_a_connection_that_ends_between_two_events_repeats_none_that_was_acknowledged() -> (
    None
):
    bench = Bench()
    async with bench.running():
        link = bench.link
        publish = link.publish

        async def cut_after_the_first(message: Message) -> None:
            await publish(message)
            if message.topic.endswith("/event"):
                link.cut()

        link.publish = cut_after_the_first  # type: ignore[method-assign]
        bench.events.add(event(1), event(2))
        await eventually(lambda: len(bench.links) == 2 and bench.is_idle())
        numbers = [json.loads(one)["id"] for each in bench.links for one in each.payloads("event")]
        assert numbers == [1, 2]


async def test_a_store_that_does_not_answer_does_not_end_the_connection() -> None:
    bench = Bench()
    async with bench.running():
        bench.events.failures = 3
        await bench.again()
        assert len(bench.links) == 1
        assert bench.link.payloads("status") == ["online"]


async def test_a_cursor_that_cannot_be_saved_does_not_stop_the_events() -> None:
    bench = Bench()
    async with bench.running():
        bench.cursors.failures = 1
        bench.events.add(event(1))
        await bench.again()
        bench.events.add(event(2))
        link = await bench.again()
        assert [json.loads(one)["id"] for one in link.payloads("event")] == [1, 2]
        assert bench.cursors.saved[NAME] == OutputCursor(2)


@pytest.mark.parametrize(
    ("status", "availability", "problem"),
    [
        (CameraStatus.WATCHING, "online", "OFF"),
        (CameraStatus.SILENT, "offline", "ON"),
        (CameraStatus.PAUSED, "offline", "OFF"),
        (CameraStatus.STARTING, "offline", "OFF"),
    ],
)
async def test_status_becomes_availability_and_problem(
    status: CameraStatus, availability: str, problem: str
) -> None:
    bench = Bench()
    bench.cameras.all = [camera("door", None, status)]
    async with bench.running():
        assert bench.link.payloads("availability") == [availability]
        shown = json.loads(bench.link.payloads("problem")[0])
        assert shown == {"problem": problem, "reason": None}
        assert bench.link.payloads("plain") == ["unknown"]
        assert json.loads(bench.link.payloads("state")[0])["state"] is None
