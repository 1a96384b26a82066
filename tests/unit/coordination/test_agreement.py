"""The state that frames agree on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cameras import UNKNOWN
from service.coordination.agreement import Agreement, FrameAnswer


def agreement(agree: int = 2, of: int = 3, state: str | None = None) -> Agreement:
    return Agreement(agree=agree, of=of, enter_score=0.5, leave_score=0.35, state=state)


def answer(label: str | None, score: float = 0.9, **others: float) -> FrameAnswer:
    return FrameAnswer(label, score if label else 0.0, others)


def states(found: Agreement, *answers: FrameAnswer) -> list[str | None]:
    seen = []
    for one in answers:
        found.add(one)
        seen.append(found.state)
    return seen


def test_state_needs_enough_frames() -> None:
    cat = answer("cat")
    assert states(agreement(), cat, cat) == [None, "cat"]
    assert states(agreement(agree=1, of=1), cat) == ["cat"]
    assert states(agreement(agree=3, of=3), cat, cat, cat) == [None, None, "cat"]


def test_single_odd_frame_changes_nothing() -> None:
    found = agreement(state="cat")
    assert states(found, answer("dog"), answer("cat"), answer("cat")) == ["cat"] * 3


def test_abstention_of_enough_frames_is_unknown() -> None:
    assert states(agreement(state="cat"), answer(None), answer(None)) == ["cat", UNKNOWN]


def test_frames_that_do_not_agree_are_unknown() -> None:
    labels = [answer("cat"), answer("dog"), answer("bird")]
    assert states(agreement(), *labels) == [None, None, UNKNOWN]


def test_state_holds_while_its_label_has_the_lower_score() -> None:
    found = agreement(agree=1, of=1, state="cat")
    assert states(found, answer("cat", 0.4)) == ["cat"]
    assert states(found, answer("dog", 0.6, cat=0.36)) == ["cat"]
    assert states(found, answer(None, cat=0.36)) == ["cat"]
    assert states(found, answer("dog", 0.66, cat=0.34)) == ["dog"]


def test_label_below_the_entering_score_does_not_become_the_state() -> None:
    assert states(agreement(agree=1, of=1), answer("cat", 0.49)) == [UNKNOWN]


def test_state_before_a_restart_is_no_change() -> None:
    found = agreement(state="cat")
    assert not any(found.add(answer("cat")) for _ in range(5))


def scored(found: Agreement) -> tuple[str | None, float | None]:
    return found.state, found.score


def test_score_is_that_of_the_state() -> None:
    found = agreement(agree=1, of=1)
    found.add(answer("cat", 0.8))
    assert scored(found) == ("cat", 0.8)
    found.add(answer(None))
    assert scored(found) == (UNKNOWN, None)


def test_settled_means_that_the_last_frame_agrees() -> None:
    found = agreement(state="cat")
    settled = [found.is_settled]
    for label in ("cat", "dog"):
        found.add(answer(label))
        settled.append(found.is_settled)
    assert settled == [False, True, False]


ANSWERS = st.builds(
    FrameAnswer,
    st.sampled_from([None, "cat", "dog", "bird"]),
    st.floats(0, 1),
    st.dictionaries(st.sampled_from(["cat", "dog", "bird"]), st.floats(0, 1)),
)


@given(
    st.integers(1, 6).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))),
    st.lists(ANSWERS),
)
def test_changes_are_reported_and_supported(
    sizes: tuple[int, int], answers: list[FrameAnswer]
) -> None:
    agree, of = sizes
    found = agreement(agree, of)
    for number, one in enumerate(answers, 1):
        before = found.state
        assert found.add(one) == (found.state != before)
        if found.state not in {before, UNKNOWN}:
            assert number >= agree, "a label needs that many frames"
        if number >= of:
            assert found.state is not None
        assert found.score is None or 0 <= found.score <= 1


@given(st.lists(ANSWERS), st.sampled_from(["cat", "dog"]), st.integers(1, 5))
def test_same_answer_often_enough_is_the_state(
    before: list[FrameAnswer], label: str, of: int
) -> None:
    found = agreement(of, of)
    for one in before:
        found.add(one)
    for _ in range(of):
        found.add(answer(label, 1.0))
    assert found.state == label


@pytest.mark.parametrize("agree", [1, 2])
def test_tie_keeps_the_state(agree: int) -> None:
    found = agreement(agree, 4, state="cat")
    for label in ("cat", "cat", "dog", "dog"):
        found.add(answer(label))
    assert found.state == "cat"
