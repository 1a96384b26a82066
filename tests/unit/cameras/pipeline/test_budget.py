"""Budget and pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cameras import CameraFailure
from service.cameras.pipeline.backoff import (
    LASTING,
    LASTING_SECONDS,
    LONGEST_SECONDS,
    WAITED_SECONDS,
    Backoff,
)
from service.cameras.pipeline.budget import LEAST_SHARE, Budget

CAMERAS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(st.floats(0.1, 3600), st.floats(0, 2)),
    max_size=12,
)


@given(CAMERAS, st.floats(0.1, 64), st.floats(0, 64))
def test_stretched_intervals_keep_to_the_capacity(
    cameras: dict[str, tuple[float, float]], capacity: float, decoding: float
) -> None:
    budget = Budget(capacity)
    for name, (every, cost) in cameras.items():
        budget.note_frame(name, every=every, cost=cost)
    budget.note_decoding(decoding)
    assert budget.stretch >= 1
    cost = sum(cost / (every * budget.stretch) for every, cost in cameras.values())
    left = max(capacity - decoding, LEAST_SHARE * capacity)
    assert cost <= left * (1 + 1e-9)
    if budget.demand <= left:
        assert budget.stretch == 1, "intervals do not grow below the capacity"


@given(st.floats(0.001, 1), st.floats(0.001, 1))
def test_cost_follows_what_is_measured(before: float, after: float) -> None:
    budget = Budget(1)
    for cost in (before, *[after] * 60):
        budget.note_frame("door", every=1, cost=cost)
    assert budget.demand == pytest.approx(after, rel=0.01, abs=1e-5)


def test_forgotten_camera_demands_nothing() -> None:
    budget = Budget(0.5)
    budget.note_frame("door", every=1, cost=2)
    budget.forget("door")
    budget.forget("absent")
    assert (budget.demand, budget.stretch) == (0, 1)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 2000))
def test_camera_that_returns_is_asked_within_two_seconds(draw: float, failures: int) -> None:
    backoff = Backoff(lambda: draw)
    pauses = [backoff.fail(CameraFailure.UNREACHABLE) for _ in range(failures)]
    assert all(0.3 < pause <= LONGEST_SECONDS for pause in pauses)
    assert pauses == sorted(pauses)
    assert backoff.attempts == failures
    backoff.reset()
    assert backoff.fail(CameraFailure.ENDED) == pauses[0]


def test_time_out_was_a_pause_already() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.fail(CameraFailure.TIMEOUT) for _ in range(5)] == [WAITED_SECONDS] * 5


@pytest.mark.parametrize("reason", sorted(LASTING))
def test_failures_that_people_must_mend_pause_longer(reason: CameraFailure) -> None:
    assert Backoff(lambda: 0.0).fail(reason) == LASTING_SECONDS
