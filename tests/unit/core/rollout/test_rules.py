"""When rollouts end by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rollout import RolloutEnd, RolloutMode, RolloutOptions, RolloutRules
from service.core.rollout.rules import Comparison, Decision, Evidence, decide, least_excess, wilson

CANARY = RolloutOptions(mode=RolloutMode.CANARY, version=2)
SHADOW = RolloutOptions(mode=RolloutMode.SHADOW, version=2)
COUNTS = st.integers(0, 500)


def decided(
    options: RolloutOptions,
    current: Evidence,
    tried: Evidence,
    comparison: Comparison,
    *,
    is_loaded: bool = True,
    is_broken: bool = False,
) -> Decision:
    return decide(options, current, tried, comparison, is_loaded=is_loaded, is_broken=is_broken)


def rules(**given: object) -> RolloutRules:
    return RolloutRules.model_validate(given)


def test_wilson_interval_is_that_of_the_paper() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


def test_interval_of_a_difference_is_that_of_the_paper() -> None:
    # Newcombe 1998, "Interval estimation for the difference", table II: 56/70 - 48/80, method 10.
    assert least_excess(56, 70, 48, 80) == pytest.approx(0.0524, abs=5e-5)


def test_broken_version_is_ended_at_once() -> None:
    decision = decided(CANARY, Evidence(), Evidence(), Comparison(), is_broken=True)
    assert decision.end is RolloutEnd.GOLDENS


def test_version_that_is_not_loaded_yet_is_waited_for() -> None:
    decision = decided(CANARY, Evidence(), Evidence(), Comparison(), is_loaded=False)
    assert decision == Decision(None, "the version to be loaded")


@pytest.mark.parametrize(
    ("current", "tried", "end"),
    [
        (Evidence(900, 0), Evidence(100, 20), RolloutEnd.ERRORS),
        (Evidence(900, 100), Evidence(100, 20), None),
        (Evidence(900, 0), Evidence(10, 10), None),
        (Evidence(900, wrong=9), Evidence(100, wrong=20), RolloutEnd.WRONG_ANSWERS),
        (Evidence(900, wrong=90), Evidence(100, wrong=10), None),
        (Evidence(10, wrong=1), Evidence(60, wrong=300), RolloutEnd.WRONG_ANSWERS),
    ],
    ids=["errors", "both fail", "few calls", "wrong", "both wrong", "labels of other processes"],
)
def test_worse_version_is_ended_once_that_is_certain(
    current: Evidence, tried: Evidence, end: RolloutEnd | None
) -> None:
    assert decided(CANARY, current, tried, Comparison()).end is end


def test_shadow_that_disagrees_is_ended_where_the_rules_say_so() -> None:
    strict = SHADOW.model_copy(update={"rules": rules(max_disagreement=0.2)})
    differs, agrees = Comparison(100, 60), Comparison(100, 85)
    assert decided(SHADOW, Evidence(), Evidence(), differs).end is None
    found = decided(strict, Evidence(), Evidence(100), differs)
    assert found.end is RolloutEnd.DISAGREEMENT
    assert decided(strict, Evidence(), Evidence(100), agrees).end is None


def test_version_is_promoted_after_enough_answers_alone() -> None:
    given = CANARY.model_copy(update={"rules": rules(promote_after=200)})
    for answers, end in ((49, None), (199, None), (200, RolloutEnd.PROMOTED)):
        found = decided(given, Evidence(1000), Evidence(answers), Comparison())
        assert found.end is end
    assert decided(CANARY, Evidence(9999), Evidence(9999), Comparison()).end is None


def test_missing_evidence_is_said_in_words() -> None:
    given = CANARY.model_copy(update={"rules": rules(promote_after=200)})
    words = [
        decided(given, Evidence(), Evidence(answers), Comparison()).missing for answers in (0, 60)
    ]
    assert words == ["50 more answers, to be judged", "140 more answers, to be promoted"]


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_version_that_is_no_worse_is_never_ended(
    answers: int, errors: int, wrong: int, more: int, fewer_errors: int, fewer_wrong: int
) -> None:
    current = Evidence(answers, errors, wrong=min(wrong, answers))
    tried = Evidence(
        answers + more, max(errors - fewer_errors, 0), wrong=max(current.wrong - fewer_wrong, 0)
    )
    found = decided(CANARY, current, tried, Comparison())
    assert current.calls == 0 or found.end is None
