"""The session of a stream: what it answers to which message, at which time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from schemas.errors import (
    ErrorCode,
    InferenceFailed,
    ModelNotFound,
    Overloaded,
    ServiceError,
    Unauthenticated,
)
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    ModelRef,
    Prediction,
    Summary,
    Timing,
)
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.closing import CloseCode, refusal_code
from service.transport.http.stream.session.framing import MAX_NUMBER
from service.transport.http.stream.session.messages import StreamOptions
from service.transport.http.stream.session.session import CREDITS, HELLO_SECONDS, Session

IDLE, LIFE = 60.0, 900.0


@dataclass
class Purse:
    """A budget that counts what is out."""

    capacity: int = 1000
    held: int = 0

    def take(self, count: int) -> None:
        if self.held + count > self.capacity:
            raise Overloaded
        self.held += count

    def give_back(self, count: int) -> None:
        self.held -= count
        assert self.held >= 0


@dataclass
class Waits:
    """A frame rate whose waits the test gives; 0 after the last."""

    seconds: list[float] = field(default_factory=list)

    def wait(self, owner: str, now: float) -> float:
        assert owner == "anna"
        assert now >= 0
        return self.seconds.pop(0) if self.seconds else 0.0


@dataclass
class Bench:
    """A session, and what it asked for."""

    purse: Purse = field(default_factory=Purse)
    rate: Waits = field(default_factory=Waits)
    now: float = 0.0
    done: list[do.Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(idle_seconds=IDLE, rate=self.rate, budget=self.purse, now=self.now)

    def perform(self, actions: Iterable[do.Action]) -> list[do.Action]:
        new = list(actions)
        self.done += new
        return new

    def say(self, type_: str, **members: object) -> list[do.Action]:
        text = json.dumps({"type": type_, **members})
        return self.perform(self.session.receive(text, self.now))

    def frame(self, number: int, image: bytes = b"image") -> list[do.Action]:
        message = number.to_bytes(8, "big") + image
        return self.perform(self.session.receive(message, self.now))

    def admit(self, **options: object) -> do.SessionState:
        state = do.SessionState("anna", StreamOptions.model_validate(options))
        grant = do.Grant("anna", self.now + LIFE)
        self.perform(self.session.admitted(grant, state, "id", self.now, is_resumed=False))
        return state

    def answer(
        self, frame: do.Frame, outcome: do.Answer | ServiceError | None = None
    ) -> list[do.Action]:
        return self.perform(self.session.answered(frame, outcome or answer(), self.now))

    def running(self) -> list[do.Frame]:
        """The frames that were to be classified and have no outcome yet."""
        asked = [one.frame for one in self.done if isinstance(one, do.Classify)]
        return [frame for frame in asked if frame.outcome is None]


def answer(label: str | None = "cat", score: float = 0.9) -> do.Answer:
    summary = None if label is None else Summary(label, score, 0, None)
    classification = Classification(
        summary,
        [Prediction("cat", 0, 0.9)],
        None,
        label is None,
        True,  # noqa: FBT003 - calibrated
        ImageFacts("PNG", 2, 2),
        Timing(1, 1, 1, 3),
    )
    return ModelRef("colours", 1), classification


def opened(**options: object) -> Bench:
    bench = Bench()
    bench.say("hello")
    bench.admit(**options)
    return bench


def kinds(actions: Sequence[do.Action]) -> list[str]:
    """The types of messages, and the names of other actions."""
    return [
        str(one.message["type"]) if isinstance(one, do.Send) else type(one).__name__
        for one in actions
    ]


def numbers(actions: Sequence[do.Action]) -> list[object]:
    """The frames that were answered or dropped, in order."""
    return [
        one.message["frame"] if isinstance(one, do.Send) else one.frame
        for one in actions
        if (isinstance(one, do.Send) and one.message.get("type") in {"result", "dropped"})
        or (isinstance(one, do.SendError) and one.credits)
    ]


def close_of(actions: Sequence[do.Action]) -> int:
    (code,) = [one.code for one in actions if isinstance(one, do.Close)]
    return code


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


# Messages


def test_options_change_only_what_they_name() -> None:
    bench = opened(top_k=3, smooth=5)
    (check,) = bench.say("options", options={"mode": "latest"})
    assert isinstance(check, do.CheckOptions)
    bench.perform(bench.session.apply(check.options, 0))
    options = bench.session.state.options
    assert (options.top_k, options.smooth, options.mode) == (3, 5, "latest")


def test_rejected_options_leave_the_old_ones() -> None:
    bench = opened(top_k=3)
    bench.say("options", options={"model": "none"})
    assert kinds(bench.session.reject(ModelNotFound())) == ["SendError"]
    assert bench.session.state.options.model is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "1",
        '{"type":"x"}',
        '{"type":["ping"]}',
        '{"type":"hello"}',
        '{"type":"options","options":{"top_k":0}}',
        '{"type":"token"}',
    ],
)
def test_bad_text_gets_an_error_and_the_stream_goes_on(text: str) -> None:
    bench = opened()
    (error,) = bench.session.receive(text, 0)
    assert isinstance(error, do.SendError)
    assert (error.frame, error.credits) == (None, 0)
    assert kinds(bench.say("ping", id="a")) == ["pong"]


def test_problem_points_at_the_member() -> None:
    (error,) = opened().say("options", options={"smooth": 1000})
    assert isinstance(error, do.SendError)
    assert error.error.violations[0].pointer == "/message/options/smooth"


# Time


def test_token_is_renewed_in_the_stream_or_expires() -> None:
    bench = opened()
    assert kinds(bench.say("token", token="t")) == ["Renew"]
    bench.perform(bench.session.renewed(do.Grant("anna", 2 * LIFE), 0))
    bench.now = 2 * LIFE - 1
    bench.say("ping")
    assert bench.session.tick(bench.now) == []
    assert close_of(bench.session.tick(2 * LIFE)) == CloseCode.EXPIRED


def test_idle_stream_is_closed_and_a_ping_keeps_it() -> None:
    bench = opened()
    bench.now = IDLE
    bench.say("ping")
    assert bench.session.tick(2 * IDLE) == []
    assert close_of(bench.session.tick(2 * IDLE + 1)) == CloseCode.SILENT


# Restart


def test_restart_answers_what_was_accepted() -> None:
    bench = opened()
    bench.frame(1)
    assert kinds(bench.perform(bench.session.drain())) == ["goodbye"]
    assert bench.frame(2) == []
    (frame,) = bench.running()
    actions = bench.answer(frame)
    assert kinds(actions) == ["result", "Close"]
    assert close_of(actions) == CloseCode.RESTART


def test_restart_closes_an_idle_or_new_stream_at_once() -> None:
    assert kinds(opened().session.drain()) == ["goodbye", "Close"]
    assert kinds(Bench().session.drain()) == ["Close"]


# Smoothing


def test_event_reports_a_change_of_the_smoothed_summary() -> None:
    bench = opened(smooth=3)
    heard: list[tuple[str, object]] = []
    for label in ("cat", "cat", "dog", "cat", "dog", "dog", None, None):
        bench.frame(1)
        (frame,) = bench.running()
        for one in bench.answer(frame, answer(label)):
            assert isinstance(one, do.Send)
            if one.message["type"] == "event":
                summary = one.message["summary"]
                heard.append((str(label), getattr(summary, "label", None)))
    assert heard == [("cat", "cat"), ("dog", "dog"), ("None", None)]


def test_result_has_no_smoothed_summary_unless_asked_for() -> None:
    bench = opened()
    bench.frame(1)
    (result,) = bench.answer(bench.running()[0])
    assert isinstance(result, do.Send)
    assert "smoothed" not in result.message
