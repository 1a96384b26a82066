"""The session of a stream: options, times, restart and smoothing."""

from __future__ import annotations

import pytest

from schemas.errors import (
    ModelNotFound,
)
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.closing import CloseCode
from tests.support.callers.stream_session import (
    IDLE,
    LIFE,
    Bench,
    answer,
    close_of,
    kinds,
    opened,
)

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
