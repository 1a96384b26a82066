"""Frame rates and resumption, which the streams of a process share; smoothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.metrics.metrics import Metrics
from observability.metrics.stream_metrics import CODES
from schemas.errors import RateLimited
from service.core.imaging.answer import Named, Summary
from service.transport.http.middleware.errors import STATUS
from service.transport.http.stream import pacing
from service.transport.http.stream.pacing import FramePace
from service.transport.http.stream.session import resumption
from service.transport.http.stream.session.actions import SessionState
from service.transport.http.stream.session.closing import CloseCode
from service.transport.http.stream.session.messages import StreamOptions
from service.transport.http.stream.session.resumption import RESUME_SECONDS, Resumptions
from service.transport.http.stream.session.smoothing import LEAST, Smoother
from service.transport.open_streams import OpenStreams
from tests.support.suite.examples import examples


def state(owner: str = "anna") -> SessionState:
    return SessionState(owner, StreamOptions())


# Frames per second


@examples(200)
@given(st.integers(1, 50), st.lists(st.floats(0, 2), max_size=100))
def test_no_second_has_more_than_twice_the_rate(rate: int, pauses: list[float]) -> None:
    pace, now, allowed = FramePace(rate), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if pace.wait("anna", now) == 0:
            allowed.append(now)
    for start in allowed:
        assert sum(start <= time < start + 1 for time in allowed) <= 2 * rate


def test_frame_is_allowed_after_the_wait() -> None:
    pace = FramePace(2)
    assert [pace.wait("anna", 0) for _ in range(2)] == [0, 0]
    wait = pace.wait("anna", 0)
    assert 0 < wait <= 0.5
    assert pace.wait("bert", 0) == 0, "each owner has its own"
    assert pace.wait("anna", wait + 1e-9) == 0


def test_no_rate_is_no_limit() -> None:
    pace = FramePace(0)
    assert not any(pace.wait("anna", 0) for _ in range(1000))


def test_owners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MOST_OWNERS", 2)
    pace = FramePace(1)
    for owner in ("anna", "bert", "carl"):
        pace.wait(owner, 0)
    assert pace.wait("carl", 0) > 0
    assert pace.wait("anna", 0) == 0, "it was forgotten"


# Open streams


def test_open_streams_are_limited_by_owner() -> None:
    metrics = Metrics()
    streams = OpenStreams(2, metrics)
    for owner in ("anna", "anna", "bert"):
        streams.enter(owner)
    with pytest.raises(RateLimited, match="2 streams"):
        streams.enter("anna")
    labels = {"reason": "streams"}
    assert metrics.registry.get_sample_value("potoo_rejections_total", labels) == 1
    streams.leave("anna")
    streams.enter("anna")


def test_no_limit_of_open_streams() -> None:
    streams = OpenStreams(0, Metrics())
    for _ in range(1000):
        streams.enter("anna")


# Resumption


def test_session_is_resumed_once_and_in_time() -> None:
    kept = Resumptions()
    first, second = (kept.keep(state()) for _ in range(2))
    for identifier in (first, second):
        kept.end(identifier, 0)
    assert kept.take(first, "anna", RESUME_SECONDS - 1) is not None
    assert kept.take(first, "anna", RESUME_SECONDS - 1) is None
    assert kept.take(second, "anna", RESUME_SECONDS) is None


def test_session_whose_connection_is_open_is_taken_over() -> None:
    kept = Resumptions()
    identifier = kept.keep(state())
    assert kept.take(identifier, "anna", 0) is not None
    kept.end(identifier, 0)
    assert kept.take(identifier, "anna", 0) is None, "the end of the old connection changes nothing"


def test_session_belongs_to_its_owner() -> None:
    kept = Resumptions()
    identifier = kept.keep(state())
    assert kept.take(identifier, "bert", 0) is None
    kept.end(identifier, 0)
    assert kept.take(identifier, "bert", 0) is None
    assert kept.take(identifier, "anna", 0) is not None


def test_ended_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "MOST_ENDED", 2)
    kept = Resumptions()
    identifiers = [kept.keep(state()) for _ in range(4)]
    for identifier in identifiers:
        kept.end(identifier, 0)
    found = [kept.take(identifier, "anna", 1) is not None for identifier in identifiers]
    assert found == [False, False, True, True]


# Smoothing


@examples(200)
@given(
    st.integers(1, 10),
    st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("abc"), st.floats(0, 1))), max_size=40),
)
def test_smoothed_summary_is_the_best_mean_of_the_window(
    window: int, frames: list[tuple[str, float] | None]
) -> None:
    smoother, before = Smoother(window), None
    for index, frame in enumerate(frames):
        has_changed = smoother.add(None if frame is None else Summary(*frame, 0, None))
        recent = frames[max(0, index + 1 - window) : index + 1]
        means = {
            label: sum(one[1] for one in recent if one and one[0] == label) / len(recent)
            for label in "abc"
        }
        best, found = max(means.values()), smoother.summary
        assert (found is not None) == (best >= LEAST)
        if isinstance(found, Named):
            assert found.score == pytest.approx(best, abs=1e-6)
            assert means[found.label] == pytest.approx(best)
        label = found.label if found else None
        assert has_changed == (label != before)
        before = label


# Metrics


def test_every_close_code_has_a_series_and_others_share_one() -> None:
    assert {code.value for code in CloseCode} <= CODES
    metrics = Metrics()
    for code in (*CODES, 3000, 4999):
        metrics.streams.count_end(code)
    series = {
        sample.labels["code"]: sample.value
        for family in metrics.registry.collect()
        if family.name == "potoo_streams"
        for sample in family.samples
    }
    assert series == {str(code): 1 for code in CODES} | {"other": 2}


def test_refusals_have_close_codes_with_a_series() -> None:
    at_hello = {401, 403, 404, 409, 422, 429, 500, 503}
    assert at_hello <= {*STATUS.values()}
    assert {4000 + status for status in at_hello} <= CODES
