"""Delivery to a webhook: order, acknowledgement, back-off, and what is saved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from observability.metrics.result_metrics import ResultMetrics
from schemas.cameras import CameraEvent
from service.cameras.results.sending import NotSent, Reply
from service.cameras.results.signing import Signer
from service.cameras.results.webhooks import WebhookOutput, output_name
from service.coordination.ports import OutputCursor
from service.coordination.retrying import Clock
from tests.support.results.fakes import FakeCursors, FakeEvents, Time, event
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

URL = "https://hooks.example/token-in-the-path?key=secret"
NAME = output_name(URL)
OK = Reply(200)


class FakeSender:
    """A receiver with given answers, then 200. ``sent`` holds the ids of the events."""

    def __init__(self, answers: Iterable[Reply | NotSent] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[int] = []
        self.headers: list[Mapping[str, str]] = []
        self.can_answer = asyncio.Event()
        self.can_answer.set()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        assert url == URL
        self.sent.append(json.loads(body)["data"]["id"])
        self.headers.append(headers)
        await self.can_answer.wait()
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, NotSent):
            raise answer
        return answer


class Bench:
    """A webhook output with fakes around it."""

    def __init__(self, *events: CameraEvent, attempts: int = 5) -> None:
        self.events, self.cursors = FakeEvents(*events), FakeCursors()
        self.sender, self.time = FakeSender(), Time()
        self.registry = CollectorRegistry()
        self._metrics = ResultMetrics(self.registry)
        self._attempts = attempts

    @property
    def cursor(self) -> OutputCursor | None:
        return self.cursors.saved.get(NAME)

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"output": "webhook", **labels})

    def deliveries(self, outcome: str) -> float | None:
        return self.number("potoo_result_deliveries_total", outcome=outcome)

    def begin_at(self, number: int) -> None:
        self.cursors.saved[NAME] = OutputCursor(number)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        output = WebhookOutput(
            URL,
            signer=Signer(b"k" * 24, NAME, "Potoo/0"),
            sender=self.sender,
            events=self.events,
            cursors=self.cursors,
            metrics=self._metrics.output("webhook", NAME),
            attempts=self._attempts,
            clock=Clock(self.time.now, self.time.sleep, lambda: 1.0),
        )
        task = asyncio.create_task(output.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_delivered(self, number: int) -> None:
        def is_delivered() -> bool:
            return self.cursor is not None and self.cursor.event == number

        async with self.running():
            await eventually(is_delivered)


async def test_events_are_sent_in_order_and_each_is_saved_before_the_next() -> None:
    bench = Bench(*(event(number) for number in range(1, 121)))
    bench.begin_at(0)
    await bench.until_delivered(120)
    assert bench.sender.sent == list(range(1, 121))
    assert [cursor.event for cursor in bench.cursors.history] == list(range(1, 121))
    assert bench.deliveries("delivered") == 120
    assert bench.time.slept == []


async def test_a_new_output_begins_with_the_next_event() -> None:
    bench = Bench(event(1), event(2))
    async with bench.running():
        await eventually(lambda: bench.cursor == OutputCursor(2))
        bench.events.add(event(3))
        await eventually(lambda: bench.cursor == OutputCursor(3))
    assert bench.sender.sent == [3]


async def test_an_output_that_began_before_the_first_event_gets_it_after_a_restart() -> None:
    bench = Bench()
    async with bench.running():
        await eventually(lambda: bench.cursor == OutputCursor(0))
    bench.events.add(event(1))
    await bench.until_delivered(1)
    assert bench.sender.sent == [1]


async def test_failures_are_repeated_with_growing_pauses_and_the_same_id() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.sender.answers = [NotSent("refused"), Reply(500), Reply(302), Reply(404)]
    with capture_logs() as lines:
        await bench.until_delivered(1)
    assert bench.sender.sent == [1] * 5
    assert bench.time.slept == [1, 2, 4, 8]
    assert len({headers["webhook-id"] for headers in bench.sender.headers}) == 1
    assert len({headers["webhook-signature"] for headers in bench.sender.headers}) == 5
    assert (bench.deliveries("failed"), bench.deliveries("delivered")) == (4, 1)
    assert [line["log_level"] for line in lines] == ["warning", "info", "info", "info", "info"]
    assert "token-in-the-path" not in str(lines)
    assert "secret" not in str(lines)
    assert lines[0]["target"] == "https://hooks.example"


async def test_an_event_is_given_up_after_the_last_attempt_and_the_next_one_is_sent() -> None:
    bench = Bench(event(1), event(2), attempts=3)
    bench.begin_at(0)
    bench.sender.answers = [Reply(500)] * 3
    await bench.until_delivered(2)
    assert bench.sender.sent == [1, 1, 1, 2]
    assert bench.cursor == OutputCursor(2, dead=1)
    assert (bench.deliveries("dead"), bench.deliveries("failed")) == (1, 2)


async def test_attempts_and_pause_survive_a_restart() -> None:
    bench = Bench(event(1), attempts=3)
    bench.cursors.saved[NAME] = OutputCursor(0, 2, bench.time.now() + 100, 7)
    bench.sender.answers = [Reply(500)]
    await bench.until_delivered(1)
    assert bench.time.slept == [100]
    assert bench.cursor == OutputCursor(1, dead=8)


async def test_a_clock_that_was_set_back_delays_by_an_hour_at_most() -> None:
    bench = Bench(event(1))
    bench.cursors.saved[NAME] = OutputCursor(0, 1, bench.time.now() + 10**9)
    await bench.until_delivered(1)
    assert bench.time.slept == [3600]


async def test_the_pause_that_a_receiver_asks_for_is_kept() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.sender.answers = [Reply(429, 77.0), Reply(503, 1.0)]
    await bench.until_delivered(1)
    assert bench.time.slept == [77.0, 1.0]


async def test_410_stops_the_output_without_losing_the_event() -> None:
    bench = Bench(event(1), event(2))
    bench.begin_at(0)
    bench.sender.answers = [OK, Reply(410)]
    async with bench.running() as task:
        await task
    assert bench.cursor == OutputCursor(1)
    assert bench.deliveries("gone") == 1
    assert bench.number("potoo_result_queue_depth") == 2
    await bench.until_delivered(2)
    assert bench.sender.sent == [1, 2, 2]


async def test_nothing_more_is_sent_until_an_acknowledgement_is_saved() -> None:
    bench = Bench(event(1), event(2))
    bench.begin_at(0)
    bench.cursors.failures = 3
    await bench.until_delivered(2)
    assert bench.sender.sent == [1, 2]
    assert bench.time.slept == [1, 2, 4]


async def test_a_failed_attempt_that_cannot_be_saved_is_repeated_all_the_same() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.sender.answers, bench.cursors.failures = [Reply(500)], 1
    await bench.until_delivered(1)
    assert bench.sender.sent == [1, 1]


async def test_a_store_that_does_not_answer_is_asked_again() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.events.failures = 2
    await bench.until_delivered(1)
    assert bench.sender.sent == [1]


async def test_an_acknowledgement_is_saved_although_the_output_is_stopped() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.cursors.failures = 1
    can_save = asyncio.Event()

    async def sleep(seconds: float) -> None:
        del seconds
        await can_save.wait()

    bench.time.sleep = sleep  # type: ignore[method-assign]
    async with bench.running() as task:
        await eventually(lambda: bench.cursors.failures == 0)
        task.cancel()
        await asyncio.sleep(0)
        can_save.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert bench.cursor == OutputCursor(1)


async def test_metrics_tell_how_many_events_wait_and_since_when() -> None:
    bench = Bench(event(1), event(2), event(3))
    bench.begin_at(0)
    bench.sender.can_answer.clear()
    async with bench.running():
        await eventually(lambda: bench.sender.sent == [1])
        assert bench.number("potoo_result_queue_depth") == 3
        oldest = bench.number("potoo_result_oldest_timestamp_seconds")
        assert oldest == event(1).at.timestamp()
        bench.sender.can_answer.set()
        await eventually(lambda: bench.number("potoo_result_queue_depth") == 0)
        assert bench.number("potoo_result_oldest_timestamp_seconds") == 0


async def test_an_output_that_is_stopped_tells_of_nothing_that_waits() -> None:
    bench = Bench(event(1))
    bench.begin_at(0)
    bench.sender.can_answer.clear()
    async with bench.running():
        await eventually(lambda: bench.number("potoo_result_queue_depth") == 1)
    assert bench.number("potoo_result_queue_depth") == 0


async def test_a_feed_that_announces_removed_events_is_not_asked_without_a_pause() -> None:
    bench = Bench()

    async def wait(cursor: int, timeout: float) -> None:
        del cursor, timeout

    bench.events.wait = wait  # type: ignore[method-assign]
    async with bench.running():
        await eventually(lambda: len(bench.time.slept) > 3)
