"""Motion gate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.cameras.pipeline.motion import MotionGate, difference

GREY, BRIGHT = bytes([100]) * 12, bytes([110]) * 12


def gate(threshold: float = 2, still: float = 60, follow: int = 3) -> MotionGate:
    return MotionGate(threshold=threshold, still_seconds=still, follow=follow)


def passes(found: MotionGate, grey: bytes, now: float, *, is_settled: bool = True) -> bool:
    """Whether a frame passes; one that does is classified."""
    passed = found.passes(grey, now, is_settled=is_settled)
    if passed:
        found.classified(grey, now)
    return passed


@given(st.binary(min_size=1, max_size=50), st.binary(min_size=50, max_size=50))
def test_difference_is_a_metric(one: bytes, other: bytes) -> None:
    other = other[: len(one)]
    assert difference(one, one) == 0
    assert difference(one, other) == difference(other, one)
    assert 0 <= difference(one, other) <= 255


def test_difference_does_not_wrap_around() -> None:
    assert difference(bytes([0, 255]), bytes([255, 0])) == 255


def test_first_frame_passes_and_the_same_one_does_not() -> None:
    found = gate()
    assert passes(found, GREY, 0)
    assert not passes(found, GREY, 1)
    assert found.motion == 0


def test_motion_above_the_threshold_passes() -> None:
    found = gate(threshold=9.9)
    assert passes(found, GREY, 0)
    assert passes(found, BRIGHT, 1)
    assert found.motion == 10
    assert not passes(gate_after(10), BRIGHT, 1)


def gate_after(threshold: float) -> MotionGate:
    found = gate(threshold)
    passes(found, GREY, 0)
    return found


def test_slow_change_passes_in_the_end() -> None:
    found = gate(threshold=5)
    passed = [passes(found, bytes([100 + level]) * 12, level) for level in range(12)]
    assert passed == [True, *[False] * 5, True, *[False] * 5]


def test_still_picture_passes_after_its_time() -> None:
    found = gate(still=60)
    assert passes(found, GREY, 0)
    assert not passes(found, GREY, 59.9)
    assert passes(found, GREY, 60)


def test_frames_after_motion_pass_until_the_state_is_settled() -> None:
    found = gate(follow=3)
    assert passes(found, GREY, 0, is_settled=False)
    assert passes(found, GREY, 1, is_settled=False)
    assert not passes(found, GREY, 2, is_settled=True)
    assert passes(found, GREY, 3, is_settled=False)
    assert not passes(found, GREY, 4, is_settled=False), "no more than three in all"


def test_frame_that_could_not_be_classified_counts_as_none() -> None:
    found = gate()
    assert found.passes(GREY, 0, is_settled=True)
    assert found.passes(GREY, 1, is_settled=True)
