"""The session of a stream: its beginning, and the answers to frames."""

from __future__ import annotations

import pytest

from schemas.errors import (
    ErrorCode,
    InferenceFailed,
    Unauthenticated,
)
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.closing import CloseCode, refusal_code
from service.transport.http.stream.session.framing import MAX_NUMBER
from service.transport.http.stream.session.session import CREDITS, HELLO_SECONDS
from tests.support.callers.stream_session import (
    LIFE,
    Bench,
    close_of,
    kinds,
    numbers,
    opened,
)

# The beginning


def test_hello_is_authenticated_and_welcomed() -> None:
    bench = Bench()
    (asked,) = bench.say("hello", token="t", options={"top_k": 3})
    assert isinstance(asked, do.Authenticate)
    assert (asked.hello.token, asked.hello.options.top_k) == ("t", 3)
    bench.admit(top_k=3)
    welcome = bench.done[-1]
    assert isinstance(welcome, do.Send)
    assert welcome.message["credits"] == CREDITS
    assert welcome.message["expires_in"] == LIFE


@pytest.mark.parametrize(
    "data", ["{", "[]", '{"type":"ping"}', '{"type":"hello","x":1}', b"12345678", "é" * 40_000]
)
def test_stream_without_a_valid_hello_is_closed(data: str | bytes) -> None:
    bench = Bench()
    actions = bench.perform(bench.session.receive(data, 0))
    assert kinds(actions) == ["SendError", "Close"]
    assert close_of(actions) == CloseCode.FIRST_MESSAGE
    assert bench.say("hello") == []


def test_token_is_not_shown_by_repr() -> None:
    bench = Bench()
    assert "secret" not in repr(bench.say("hello", token="secret"))
    bench.admit()
    assert "secret" not in repr(bench.say("token", token="secret"))


def test_refused_hello_closes_with_the_status_of_the_error() -> None:
    bench = Bench()
    bench.say("hello")
    assert kinds(bench.session.refuse(Unauthenticated())) == ["Refuse"]
    assert refusal_code(401) == 4401
    assert bench.session.is_closed


def test_silent_client_is_closed() -> None:
    bench = Bench()
    assert bench.session.tick(HELLO_SECONDS) == []
    assert close_of(bench.session.tick(HELLO_SECONDS + 1)) == CloseCode.SILENT


# Frames


def test_answers_come_in_the_order_of_the_frames() -> None:
    bench = opened()
    for number in (7, 8, 9):
        bench.frame(number)
    first, second, third = bench.running()
    assert bench.answer(third) == []
    assert bench.answer(second, InferenceFailed()) == []
    assert numbers(bench.answer(first)) == [7, 8, 9]
    assert bench.purse.held == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", ErrorCode.INVALID_REQUEST),
        (b"1234567", ErrorCode.INVALID_REQUEST),
        (b"\xff" * 9, ErrorCode.INVALID_REQUEST),
        ((MAX_NUMBER + 1).to_bytes(8, "big") + b"i", ErrorCode.INVALID_REQUEST),
        (bytes(8), ErrorCode.INVALID_IMAGE),
        (bytes(8) + bytes(1001), ErrorCode.OVERLOADED),
    ],
)
def test_bad_frame_gets_an_error_and_the_stream_goes_on(message: bytes, code: ErrorCode) -> None:
    bench = opened()
    (error,) = bench.perform(bench.session.receive(message, 0))
    assert isinstance(error, do.SendError)
    assert (error.error.code, error.credits) == (code, 1)
    assert kinds(bench.frame(MAX_NUMBER)) == ["Classify"]
    assert bench.session.state.counters == do.Counters(received=2, failed=1)


def test_frame_without_credit_closes_the_stream() -> None:
    bench = opened()
    for number in range(CREDITS):
        assert kinds(bench.frame(number)) == ["Classify"]
    assert close_of(bench.frame(CREDITS)) == CloseCode.NO_CREDIT
    assert bench.purse.held == 0


def test_frames_above_the_rate_are_refused_with_the_time_to_wait() -> None:
    bench = opened()
    bench.rate.seconds = [0.5]
    (error,) = bench.frame(1)
    assert isinstance(error, do.SendError)
    assert (error.error.code, error.error.retry_after) == (ErrorCode.RATE_LIMITED, 0.5)


def test_latest_answers_the_newest_frame_and_reports_those_it_drops() -> None:
    bench = opened(mode="latest")
    for number in range(1, 5):
        bench.frame(number)
    assert numbers(bench.done) == [2, 3]
    (running,) = bench.running()
    bench.now = 1.5
    result, following = bench.answer(running)
    assert isinstance(result, do.Send)
    assert (result.message["age_ms"], result.message["dropped"]) == (1500, 2)
    assert isinstance(following, do.Classify)
    assert following.frame.number == 4


@pytest.mark.parametrize("overload", [1.5, 4, 20])
def test_latest_bounds_the_age_of_answers(overload: float) -> None:
    """Frames come ``overload`` times as fast as one after the other is answered, in a second."""
    bench, service = opened(mode="latest"), 1.0
    ages: list[float] = []
    ends_at = service
    for number in range(200):
        arrives = number / overload
        while ends_at <= arrives:
            bench.now = ends_at
            result, *_ = bench.answer(bench.running()[0])
            assert isinstance(result, do.Send)
            age = result.message["age_ms"]
            assert isinstance(age, float)
            ages.append(age / 1000)
            ends_at += service
        bench.now = arrives
        bench.frame(number)
    assert len(ages) == int(arrives / service), "there is always a frame to work on"
    # The frame that is answered next came in the last interval.
    assert max(ages) <= service + 1 / overload + 1e-6


def test_change_to_all_starts_the_frame_that_waits() -> None:
    bench = opened(mode="latest")
    bench.frame(1)
    bench.frame(2)
    (check,) = bench.say("options", options={"mode": "all"})
    assert isinstance(check, do.CheckOptions)
    assert kinds(bench.perform(bench.session.apply(check.options, 0))) == ["options"]
    assert kinds(bench.frame(3)) == ["Classify"], "the frames before keep their own mode"
