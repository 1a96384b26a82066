"""The invariants of ``session.py`` hold for arbitrary sequences of messages."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InferenceFailed, ModelNotFound, ServiceError, Unauthenticated
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.closing import CloseCode
from service.transport.http.stream.session.frames import LATEST_RUNNING
from service.transport.http.stream.session.session import CREDITS
from tests.support.callers.stream_session import (
    Bench,
    Purse,
    answer,
    close_of,
    numbers,
    opened,
)
from tests.support.suite.examples import examples

Step = Callable[[Bench], object]
CODES = {code.value for code in CloseCode}


def say(text: str) -> Step:
    return lambda bench: take(bench, text)


def frame(size: int) -> Step:
    """Send a frame with the next number."""

    def step(bench: Bench) -> None:
        number = 1 + sum(isinstance(one, Arrival) for one in bench.done)
        bench.done.append(Arrival({"frame": number}))
        take(bench, number.to_bytes(8, "big") + bytes(size))

    return step


class Arrival(do.Send):
    """Mark in the list of actions: a frame was sent."""


def junk(data: bytes | str) -> Step:
    return lambda bench: take(bench, data)


def take(bench: Bench, data: bytes | str) -> None:
    """Pass a message to the session, and do what it asks for as a connection would."""
    for action in bench.perform(bench.session.receive(data, bench.now)):
        match action:
            case do.Authenticate():
                bench.admit(**action.hello.options.model_dump(exclude_unset=True))
            case do.CheckOptions() if action.options.model:
                bench.perform(bench.session.reject(ModelNotFound()))
            case do.CheckOptions():
                bench.perform(bench.session.apply(action.options, bench.now))
            case do.Renew():
                bench.perform(bench.session.renewed(do.Grant("anna", bench.now + 90), bench.now))
            case _:
                pass


def finish(index: int, *, fails: bool) -> Step:
    """Answer one of the frames that are being classified."""

    def step(bench: Bench) -> None:
        running = bench.running()
        if running and not bench.session.is_closed:
            outcome: do.Answer | ServiceError = InferenceFailed() if fails else answer()
            bench.answer(running[index % len(running)], outcome)

    return step


def later(seconds: float) -> Step:
    def step(bench: Bench) -> None:
        bench.now += seconds
        bench.perform(bench.session.tick(bench.now))

    return step


def drain(bench: Bench) -> None:
    bench.perform(bench.session.drain())


def revoke(bench: Bench) -> None:
    bench.perform(bench.session.refuse(Unauthenticated()))


def option(name: str, value: object) -> Step:
    return say(json.dumps({"type": "options", "options": {name: value}}))


HELLO = say('{"type":"hello"}')
COMMON = st.one_of(
    st.integers(0, 300).map(frame),
    st.builds(finish, st.integers(0, 9), fails=st.booleans()),
    st.sampled_from(["all", "latest"]).map(lambda mode: option("mode", mode)),
    st.integers(1, 4).map(lambda count: option("smooth", count)),
    st.just(option("model", "none")),
    st.sampled_from(['{"type":"ping"}', '{"type":"token","token":"t"}', "{"]).map(say),
    st.floats(0, 10).map(later),
)
RARE = st.one_of(
    st.just(HELLO),
    st.binary(max_size=12).map(junk),
    st.text(max_size=12).map(junk),
    st.floats(0, 1000).map(later),
    st.sampled_from([drain, revoke]),
)
STEPS = st.lists(st.one_of(COMMON, COMMON, COMMON, RARE), max_size=60)


def check(bench: Bench) -> None:
    """Everything that holds after every step."""
    ends = [i for i, one in enumerate(bench.done) if isinstance(one, do.Close | do.Refuse)]
    assert len(ends) <= 1
    if ends:
        assert bench.session.is_closed
        assert all(isinstance(one, Arrival) for one in bench.done[ends[0] + 1 :])
        assert bench.purse.held == 0
    closes = [one for one in bench.done if isinstance(one, do.Close)]
    assert {one.code for one in closes} <= CODES
    counters = bench.session.state.counters
    settled = counters.answered + counters.failed + counters.dropped
    assert 0 <= counters.received - settled <= CREDITS
    assert sum(credits_of(one) for one in bench.done) == settled


def credits_of(action: do.Action) -> int:
    if isinstance(action, do.SendError):
        return action.credits
    is_answer = isinstance(action, do.Send) and action.message.get("type") in {"result", "dropped"}
    return 1 if is_answer else 0


def in_order(bench: Bench) -> list[int]:
    """The numbers of answered and failed frames, without those that were dropped."""
    others = [
        one
        for one in bench.done
        if not (isinstance(one, do.Send) and one.message.get("type") in {"dropped", None})
    ]
    return [number for number in numbers(others) if isinstance(number, int)]


@examples(500)
@given(st.booleans(), STEPS)
def test_any_sequence_of_messages_keeps_the_invariants(has_hello: bool, steps: list[Step]) -> None:
    bench = Bench(purse=Purse(capacity=600))
    for step in ([HELLO] if has_hello else []) + steps:
        step(bench)
        check(bench)
    bench.session.lost()
    assert bench.purse.held == 0


@examples(300)
@given(st.lists(COMMON, max_size=60))
def test_every_frame_is_answered_once_and_in_order(steps: list[Step]) -> None:
    bench = opened()
    for step in steps:
        step(bench)
    while bench.running() and not bench.session.is_closed:
        finish(0, fails=False)(bench)
    check(bench)
    answered = in_order(bench)
    assert answered == sorted(set(answered))
    counters = bench.session.state.counters
    if not bench.session.is_closed:
        assert counters.received == counters.answered + counters.failed + counters.dropped


@examples(300)
@given(
    st.lists(
        st.one_of(st.just(frame(1)), st.builds(finish, st.just(0), fails=st.booleans())),
        max_size=80,
    )
)
def test_latest_holds_one_frame_in_progress_and_one_that_waits(steps: list[Step]) -> None:
    bench = opened(mode="latest")
    for step in steps:
        step(bench)
        assert len(bench.running()) <= LATEST_RUNNING
        counters = bench.session.state.counters
        settled = counters.answered + counters.failed + counters.dropped
        assert counters.received - settled <= LATEST_RUNNING + 1
    assert not bench.session.is_closed, "a client that sends as fast as it likes has always credit"


@examples(200)
@given(STEPS)
def test_restart_ends_every_stream_once_its_frames_are_answered(steps: list[Step]) -> None:
    bench = opened()
    for step in steps:
        step(bench)
    if bench.session.is_closed:
        return
    before = len(bench.done)
    drain(bench)
    while bench.running() and not bench.session.is_closed:
        finish(0, fails=False)(bench)
    if any(isinstance(one, do.Close) for one in bench.done[before:]):
        assert close_of(bench.done) == CloseCode.RESTART
    assert bench.session.is_closed
