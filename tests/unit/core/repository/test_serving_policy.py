"""Versions that a policy loads; promotions and rollbacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.serving import MAX_HISTORY, ServingPolicy
from service.core.repository.serving_policy import (
    PolicyRefused,
    always_loaded,
    candidates,
    promoted,
    rolled_back,
    target,
    with_default_kept,
    with_version,
    without_version,
)

VERSIONS = st.integers(1, 9)
THERE = st.frozensets(VERSIONS, min_size=1)
LABELS = st.sampled_from(["stable", "canary", "old"])


@st.composite
def policies(draw: st.DrawFn) -> ServingPolicy:
    """Any policy that results from changes of the first one."""
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


def test_default_policy_tries_the_newest_version_first() -> None:
    assert candidates(ServingPolicy(), {1, 3, 2}) == [3, 2, 1]
    assert candidates(ServingPolicy(), ()) == []
    assert target(ServingPolicy(), ()) is None


def test_failing_pinned_version_falls_back_to_earlier_answering_versions() -> None:
    policy = promoted(promoted(ServingPolicy(), 4, 5), 2, 4)
    assert candidates(policy, {1, 2, 3, 4, 5}) == [2, 4, 5, 1]
    assert 3 not in candidates(policy, {2, 3}), "nobody ever said that it may answer"


def test_default_follows_a_moved_label() -> None:
    policy = promoted(ServingPolicy(), 1, 2, label="stable")
    assert (policy.default, target(policy, {1, 2})) == ("stable", 1)
    moved = promoted(policy, 2, 1, label="stable")
    assert (moved.default, target(moved, {1, 2})) == ("stable", 2)


def test_label_can_move_without_the_default() -> None:
    policy = promoted(ServingPolicy(), 1, 2, label="canary", keep_default=True)
    assert target(policy, {1, 2}) == 2
    assert always_loaded(policy) == {1}
    assert policy.history == ()


@given(policies(), THERE)
def test_candidates_are_existing_versions_without_repetition(
    policy: ServingPolicy, there: frozenset[int]
) -> None:
    order = candidates(policy, there)
    assert set(order) <= there
    assert len(order) == len(set(order))
    if target(policy, there) in there:
        assert order[0] == target(policy, there)


@given(policies(), THERE, VERSIONS)
def test_promoted_version_is_the_target(
    policy: ServingPolicy, there: frozenset[int], version: int
) -> None:
    assert target(promoted(policy, version, None), there) == version
    labelled = promoted(policy, version, None, label="stable")
    assert target(labelled, there) == labelled.labels["stable"] == version


@given(policies(), THERE, st.data())
def test_rollback_undoes_a_promotion_despite_added_versions(
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
def test_rollback_targets_another_existing_version_or_is_refused(
    policy: ServingPolicy, there: frozenset[int], answering: int
) -> None:
    try:
        undone = rolled_back(policy, there, answering)
    except PolicyRefused:
        assert not any(version < answering for version in there)
    else:
        assert target(undone, there) in there - {answering}


@given(policies(), VERSIONS)
def test_policy_round_trips_through_json(policy: ServingPolicy, version: int) -> None:
    for each in (policy, with_version(policy, version), without_version(policy, version)):
        text = each.model_dump_json(exclude_defaults=True)
        assert ServingPolicy.model_validate_json(text) == each


@given(policies(), VERSIONS)
def test_additionally_loaded_version_can_be_released(policy: ServingPolicy, version: int) -> None:
    assert version in always_loaded(with_version(policy, version))
    assert version not in without_version(with_version(policy, version), version).load


def test_rollback_without_history_pins_the_previous_version() -> None:
    policy = rolled_back(ServingPolicy(), {1, 2, 5}, 5)
    assert policy.default == 2
    assert rolled_back(policy, {1, 2, 5}, 2).default == 1
    with pytest.raises(PolicyRefused):
        rolled_back(ServingPolicy(default=1), {1, 2}, 1)


def test_rollback_skips_pinning_of_the_answering_version() -> None:
    policy = promoted(promoted(ServingPolicy(), 2, 1), 2, 2, label="stable")
    assert target(rolled_back(policy, {1, 2}, 2), {1, 2}) == 1


def test_rollback_skips_removed_versions() -> None:
    policy = ServingPolicy()
    for version in (2, 3, 4):
        policy = promoted(policy, version, version - 1)
    assert target(rolled_back(policy, {1, 4}, 4), {1, 4}) == 1


def test_promotion_history_is_bounded() -> None:
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
def test_invalid_policy_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ServingPolicy.model_validate(members, strict="labels" in members)


@given(policies(), THERE, VERSIONS)
def test_held_policy_keeps_the_answering_version(
    policy: ServingPolicy, there: frozenset[int], added: int
) -> None:
    answering = next(iter(candidates(policy, there)), None)
    kept = with_default_kept(policy, answering, there)
    assert next(iter(candidates(kept, there | {added})), None) == answering or (
        # A requested version that was missing may be the one that is added.
        target(policy, there) not in there
    )
    assert kept.labels == policy.labels


def test_model_without_versions_is_held_until_promotion() -> None:
    kept = with_default_kept(ServingPolicy(), None, ())
    assert not kept.enabled
    assert promoted(kept, 1, None).enabled


def test_policy_of_failing_versions_is_held_at_the_newest() -> None:
    assert with_default_kept(ServingPolicy(), None, [1, 2]).default == 2


def test_held_disabled_policy_is_unchanged() -> None:
    policy = ServingPolicy(enabled=False)
    assert with_default_kept(policy, 1, [1]) == policy
