"""Versions that a policy loads; promotions and rollbacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.serving import MAX_HISTORY, ServingPolicy
from service.core.repository.serving_policy import (
    PolicyRefused,
    besides,
    candidates,
    held,
    promoted,
    rolled_back,
    target,
    with_version,
    without_version,
)

VERSIONS = st.integers(1, 9)
THERE = st.frozensets(VERSIONS, min_size=1)
LABELS = st.sampled_from(["stable", "canary", "old"])


@st.composite
def policies(draw: st.DrawFn) -> ServingPolicy:
    """Any policy, made as policies come about: by promotions from the first one."""
    policy = ServingPolicy(load=tuple(draw(st.frozensets(VERSIONS, max_size=3))))
    for _ in range(draw(st.integers(0, 5))):
        label = draw(st.none() | LABELS)
        policy = promoted(
            policy,
            draw(VERSIONS if label else st.none() | VERSIONS),
            draw(st.none() | VERSIONS),
            label=label,
            keep_default=label is not None and draw(st.booleans()),
        )
    return policy


def test_without_a_policy_the_newest_version_answers_and_then_the_ones_before() -> None:
    assert candidates(ServingPolicy(), {1, 3, 2}) == [3, 2, 1]
    assert candidates(ServingPolicy(), ()) == []
    assert target(ServingPolicy(), ()) is None


def test_a_pinned_version_that_fails_gives_way_to_what_answered_before_it() -> None:
    policy = promoted(promoted(ServingPolicy(), 4, 5), 2, 4)
    assert candidates(policy, {1, 2, 3, 4, 5}) == [2, 4, 5, 1]
    assert 3 not in candidates(policy, {2, 3}), "nobody ever said that it may answer"


def test_a_label_moves_and_the_default_follows_it() -> None:
    policy = promoted(ServingPolicy(), 1, 2, label="stable")
    assert (policy.default, target(policy, {1, 2})) == ("stable", 1)
    moved = promoted(policy, 2, 1, label="stable")
    assert (moved.default, target(moved, {1, 2})) == ("stable", 2)


def test_a_label_may_move_alone() -> None:
    policy = promoted(ServingPolicy(), 1, 2, label="canary", keep_default=True)
    assert target(policy, {1, 2}) == 2
    assert besides(policy) == {1}
    assert policy.history == ()


@given(policies(), THERE)
def test_only_what_is_there_is_tried_and_each_once(
    policy: ServingPolicy, there: frozenset[int]
) -> None:
    order = candidates(policy, there)
    assert set(order) <= there
    assert len(order) == len(set(order))
    if target(policy, there) in there:
        assert order[0] == target(policy, there)


@given(policies(), THERE, VERSIONS)
def test_what_is_promoted_is_what_answers(
    policy: ServingPolicy, there: frozenset[int], version: int
) -> None:
    assert target(promoted(policy, version, None), there) == version
    labelled = promoted(policy, version, None, label="stable")
    assert target(labelled, there) == labelled.labels["stable"] == version


@given(policies(), THERE, st.data())
def test_a_rollback_undoes_a_promotion_whatever_was_added_meanwhile(
    policy: ServingPolicy, there: frozenset[int], data: st.DataObject
) -> None:
    before, version = (data.draw(st.sampled_from(sorted(there))) for _ in range(2))
    label = data.draw(st.none() | LABELS)
    after = promoted(policy, version, before, label=label)
    if after == policy or version == before:
        return
    later = there | data.draw(st.frozensets(st.integers(10, 12)))
    assert target(rolled_back(after, later, version), later) == before


@given(policies(), THERE, VERSIONS)
def test_a_rollback_leads_to_another_version_that_is_there_or_nowhere(
    policy: ServingPolicy, there: frozenset[int], answering: int
) -> None:
    try:
        undone = rolled_back(policy, there, answering)
    except PolicyRefused:
        assert not any(version < answering for version in there)
    else:
        assert target(undone, there) in there - {answering}


@given(policies(), VERSIONS)
def test_a_policy_survives_being_written(policy: ServingPolicy, version: int) -> None:
    for each in (policy, with_version(policy, version), without_version(policy, version)):
        text = each.model_dump_json(exclude_defaults=True)
        assert ServingPolicy.model_validate_json(text) == each


@given(policies(), VERSIONS)
def test_a_version_that_is_loaded_besides_can_be_let_go(
    policy: ServingPolicy, version: int
) -> None:
    assert version in besides(with_version(policy, version))
    assert version not in without_version(with_version(policy, version), version).load


def test_without_promotions_a_rollback_pins_the_version_below() -> None:
    policy = rolled_back(ServingPolicy(), {1, 2, 5}, 5)
    assert policy.default == 2
    assert rolled_back(policy, {1, 2, 5}, 2).default == 1
    with pytest.raises(PolicyRefused):
        rolled_back(ServingPolicy(default=1), {1, 2}, 1)


def test_to_pin_what_answers_anyway_is_nothing_that_a_rollback_returns_to() -> None:
    policy = promoted(promoted(ServingPolicy(), 2, 1), 2, 2, label="stable")
    assert target(rolled_back(policy, {1, 2}, 2), {1, 2}) == 1


def test_a_rollback_passes_over_versions_that_were_removed() -> None:
    policy = ServingPolicy()
    for version in (2, 3, 4):
        policy = promoted(policy, version, version - 1)
    assert target(rolled_back(policy, {1, 4}, 4), {1, 4}) == 1


def test_the_history_is_bounded() -> None:
    policy = ServingPolicy()
    for number in range(3 * MAX_HISTORY):
        policy = promoted(policy, 1 + number % 2, 2 - number % 2)
    assert len(policy.history) == MAX_HISTORY


@pytest.mark.parametrize(
    "members",
    [
        {"default": "stable"},
        {"default": 0},
        {"default": -1},
        {"default": ""},
        {"default": "Latest"},
        {"default": "../x", "labels": {"../x": 1}},
        {"labels": {"latest": 1}},
        {"labels": {"stable": 0}},
        {"labels": {"stable": "2"}},
        {"load": [0]},
        {"load": list(range(1, 100))},
        {"defualt": 1},
        {"history": [{"default": 1, "version": 1}] * (MAX_HISTORY + 1)},
    ],
    ids=str,
)
def test_a_policy_that_says_nothing_sensible_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ServingPolicy.model_validate(members, strict="labels" in members)


@given(policies(), THERE, VERSIONS)
def test_a_held_policy_goes_on_with_what_answers(
    policy: ServingPolicy, there: frozenset[int], added: int
) -> None:
    answering = next(iter(candidates(policy, there)), None)
    kept = held(policy, answering, there)
    assert next(iter(candidates(kept, there | {added})), None) == answering or (
        # A version that was asked for and was not there may be the one that is added.
        target(policy, there) not in there
    )
    assert kept.labels == policy.labels


def test_a_model_without_versions_is_held_back_until_it_is_promoted() -> None:
    kept = held(ServingPolicy(), None, ())
    assert not kept.enabled
    assert promoted(kept, 1, None).enabled


def test_versions_that_all_fail_are_held_at_the_newest() -> None:
    assert held(ServingPolicy(), None, [1, 2]).default == 2


def test_a_disabled_model_stays_as_it_is() -> None:
    policy = ServingPolicy(enabled=False)
    assert held(policy, 1, [1]) == policy
