"""Rollouts on a served repository: who is answered by which version, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import Conflict, ModelNotFound, NotFound
from schemas.rollout import RolloutEnd, RolloutOptions
from schemas.serving import VersionState
from service.core.repository.repository import Repository
from service.core.rollout import trial
from service.core.rollout.trial import Trial, place_of
from service.core.scheduling.call_context import CallContext
from tests.support.models.house import House, opened
from tests.support.models.pictures import GREEN, RED, plain
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
OWNERS = [f"caller {number}" for number in range(200)]


@pytest.fixture(autouse=True)
def _no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "DUTY", 1.0)


def two_versions(*labels: str) -> Callable[[House], None]:
    """Return what adds version 1, the default, and version 2, whose labels can be given."""

    def fill(house: House) -> None:
        house.add(1, labels=["red", "green", "blue"])
        house.add(2, labels=list(labels or ("red", "green", "blue")))
        house.policy('{"default": 1}')

    return fill


async def answer_of(house: House, owner: str, version: int | None = None) -> int:
    ticket = house.classifier.issue_ticket("colours", version, CallContext(owner, 1, "test"))
    ref, _ = await house.classifier.classify(plain(RED), ticket, top_k=1)
    return ref.version


async def begin(house: House, mode: str, version: int = 2, **given: object) -> None:
    options = RolloutOptions.model_validate({"mode": mode, "version": version, **given})
    await house.control.begin_rollout("colours", options, by="anna")


async def judge(house: House) -> RolloutEnd | None:
    return await house.rollouts.judge("colours", house.control)


def trial_of(house: House) -> Trial:
    found = house.rollouts.of("colours")
    assert found is not None
    return found


def default_of(house: House) -> int:
    model = house.registry.default_version("colours")
    assert model is not None
    return model.ref.version


async def test_canary_answers_its_share_of_callers_always_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "canary", share=0.25)
        first = [await answer_of(house, owner) for owner in OWNERS]
        assert [await answer_of(house, owner) for owner in OWNERS] == first
        assert 0.15 < first.count(2) / len(OWNERS) < 0.35
        for version in (1, 2):
            assert await answer_of(house, OWNERS[0], version) == version
        report = house.rollouts.report("colours")
        assert (report.current.answers, report.tried.answers) == (
            2 * first.count(1),
            2 * first.count(2),
        )
        assert report.cost is not None


async def test_each_rollout_has_other_callers() -> None:
    chosen = [
        {owner for owner in OWNERS if place_of(owner, "colours", version) < 0.3}
        for version in (2, 3)
    ]
    assert chosen[0] - chosen[1]
    assert chosen[1] - chosen[0]


async def test_shadow_is_compared_and_nobody_sees_its_answers(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions("green", "red", "blue")) as house:
        await begin(house, "shadow", share=1)
        for number in range(1, 4):
            assert await answer_of(house, "anna") == 1
            await eventually(lambda: trial_of(house).comparison.compared == number)  # noqa: B023
        report = house.rollouts.report("colours")
        assert (report.compared, report.agreement, report.tried.answers) == (3, 0.0, 3)
        assert report.score_shift == pytest.approx(0, abs=1e-6)


async def test_shadow_is_dropped_while_calls_wait(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "shadow", share=1)
        house.is_busy = True
        for _ in range(3):
            await answer_of(house, "anna")
        report = house.rollouts.report("colours")
        assert (report.dropped, report.compared) == (3, 0)
        assert house.counted("potoo_rollout_calls_total", version="2", outcome="dropped") == 3


async def test_shadow_rests_so_that_copies_take_their_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "DUTY", 1e-9)
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "shadow")
        await answer_of(house, "anna")
        await eventually(lambda: trial_of(house).comparison.compared == 1)
        for _ in range(3):
            await answer_of(house, "anna")
        report = house.rollouts.report("colours")
        assert (report.dropped, report.compared, report.share) == (3, 1, 1.0)


async def test_shadow_that_disagrees_is_rolled_back_by_rule(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions("green", "red", "blue")) as house:
        rules = {"min_answers": 5, "max_disagreement": 0.1}
        await begin(house, "shadow", share=1, rules=rules)
        tried = trial_of(house)
        while tried.comparison.compared < 5:
            assert await judge(house) is None
            await answer_of(house, "anna")
            await eventually(lambda: not tried.is_copying)
        assert await judge(house) is RolloutEnd.DISAGREEMENT
        assert (default_of(house), house.rollouts.of("colours")) == (1, None)
        with pytest.raises(NotFound, match=r"version 2 as a shadow, ended at .*: disagreement"):
            house.rollouts.report("colours")
        ended = house.counted("potoo_rollouts_ended_total", reason="disagreement")
        assert ended == 1


async def test_wrong_answers_of_a_canary_roll_it_back(tmp_path: Path) -> None:
    async def labelled(_: str, version: int, __: float) -> tuple[int, int]:
        return (0, 30) if version == 2 else (5, 0)

    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "canary", share=0.5)
        for owner in OWNERS:
            await answer_of(house, owner)
        assert await judge(house) is None
        end = await house.rollouts.judge("colours", house.control, labelled)
        assert end is RolloutEnd.WRONG_ANSWERS
        assert {await answer_of(house, owner) for owner in OWNERS[:40]} == {1}
        policy = Repository(house.root).policy("colours")
        assert policy.rollout is None
        assert policy.last_rollout is not None
        assert policy.last_rollout.by == "rule"


async def test_canary_without_a_fault_is_promoted_by_rule(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "canary", share=0.5, rules={"min_answers": 5, "promote_after": 50})
        for owner in OWNERS[:80]:
            await answer_of(house, owner)
        assert await judge(house) is None
        for owner in OWNERS:
            await answer_of(house, owner)
        assert await judge(house) is RolloutEnd.PROMOTED
        assert default_of(house) == 2
        await house.control.roll_back("colours", by="anna")
        assert default_of(house) == 1


async def test_version_that_fails_its_canary_check_is_ended(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "canary", share=1)
        assert await answer_of(house, "anna") == 2
        tried = house.registry.find("colours", 2)
        tried.set_ready(ready=False)
        assert await answer_of(house, "anna") == 1
        assert await judge(house) is RolloutEnd.GOLDENS


async def test_rollout_lasts_beyond_a_start_and_ends_by_promotions(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "canary", share=1)
    async with opened(tmp_path, lambda _: None) as house:
        assert await answer_of(house, "anna") == 2
        with pytest.raises(Conflict, match="being tried"):
            await house.control.unload("colours", 2, by="anna")
        with pytest.raises(Conflict, match="being tried"):
            await house.control.remove("colours", 2, by="anna")
        await house.control.promote("colours", 2, by="anna")
        policy = Repository(house.root).policy("colours")
        assert policy.rollout is None
        assert policy.last_rollout is not None
        assert policy.last_rollout.reason is RolloutEnd.PROMOTED


async def test_default_unknown_and_broken_versions_are_not_tried(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        house.add(3, labels=["one"])
        with pytest.raises(Conflict, match="version 1 is the default one already"):
            await begin(house, "canary", version=1)
        with pytest.raises(ModelNotFound):
            await begin(house, "canary", version=9)
        with pytest.raises(Conflict, match="Version 3 cannot be served"):
            await begin(house, "shadow", version=3)
        assert Repository(house.root).policy("colours").rollout is None
        assert not await house.control.end_rollout("colours", by="anna")
        with pytest.raises(ModelNotFound):
            house.rollouts.report("other")


async def test_pictures_of_other_kinds_agree_in_shadow(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "shadow", share=1)
        for colour in (RED, GREEN):
            call = CallContext("anna", 1, "test")
            ticket = house.classifier.issue_ticket("colours", None, call)
            await house.classifier.classify(plain(colour), ticket, top_k=3)
            await eventually(lambda: not trial_of(house).is_copying)
        report = house.rollouts.report("colours")
        assert (report.compared, report.agreement) == (2, 1.0)


async def test_order_from_elsewhere_waits_until_the_version_is_loaded(tmp_path: Path) -> None:
    """The command line writes the policy; a server loads a new folder at its next look but one."""
    rollout = {"mode": "shadow", "version": 2, "begun": "2026-12-01T00:00:00Z", "by": "anna"}

    def fill(house: House) -> None:
        house.add(1, labels=["red", "green", "blue"])
        house.policy('{"default": 1}')

    async with opened(tmp_path, fill) as house:
        house.add(2, labels=["red", "green", "blue"])
        house.policy(json.dumps({"default": 1, "rollout": rollout}))
        await house.lifecycle.refresh()
        assert house.registry.find("colours", 1).is_ready
        assert await judge(house) is None
        assert house.rollouts.report("colours").missing == "the version to be loaded"
        await house.refresh()
        assert house.rollouts.report("colours").missing == "50 more answers, to be judged"


async def test_version_that_a_server_cannot_load_is_ended(tmp_path: Path) -> None:
    async with opened(tmp_path, two_versions()) as house:
        await begin(house, "shadow")
        house.registry.begin_unloading("colours", 2)
        house.registry.set_state("colours", 2, VersionState.FAILED, "it is broken here")
        assert await judge(house) is RolloutEnd.GOLDENS
