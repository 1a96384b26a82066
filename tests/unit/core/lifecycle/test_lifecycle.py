"""Loaded versions follow the repository: checks, switches, drains."""

from __future__ import annotations

import asyncio
import shutil
from itertools import pairwise

import pytest

from schemas.errors import ModelNotFound, NotReady
from schemas.serving import VersionState
from service.core.repository.repository import ModelRefused
from tests.support.models.calls import ANYONE
from tests.support.models.house import House
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
READY, FAILED, UNLOADED = VersionState.READY, VersionState.FAILED, VersionState.UNLOADED


# Changes of the repository


async def test_new_version_answers_and_the_old_one_is_released(house: House) -> None:
    assert await house.ask() == "red 1"
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 2"
    await eventually(lambda: house.states() == {1: UNLOADED, 2: READY})
    assert house.released == 1
    with pytest.raises(ModelNotFound):
        await house.ask(1)


async def test_growing_folder_is_not_loaded_yet(house: House) -> None:
    folder = house.add(2)
    await house.lifecycle.refresh()
    assert await house.ask() == "red 1"
    (folder / "README.md").write_text("more")
    await house.lifecycle.refresh()
    assert house.loaded == ["colours/1"]
    await house.lifecycle.refresh()
    assert await house.ask() == "red 2"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "manifest field sha256"),
        ({"labels": ["one"]}, "manifest field labels"),
        (
            {"golden": [{"file": "gone.png", "predictions": [{"index": 0, "score": 1}]}]},
            "golden[0]",
        ),
        ({"output": {"name": "logits", "kind": "probabilities"}}, "manifest field output.kind"),
        ({"temperature": 0}, "manifest field temperature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_version_failing_a_check_is_listed_and_not_served(
    house: House, changes: dict[str, object], reason: str
) -> None:
    house.add(2, **changes)
    await house.refresh()
    assert await house.ask() == "red 1"
    assert house.states() == {1: READY, 2: FAILED}
    assert reason in house.reason(2)
    assert str(house.root) not in house.reason(2)
    assert house.counted("potoo_model_load_failures_total") == 1
    await house.refresh()
    assert house.loaded == ["colours/1", "colours/2"], "the same files are not tried again"
    with pytest.raises(NotReady):
        await house.ask(2)


async def test_changed_golden_answer_prevents_loading(house: House) -> None:
    golden = house.root / "colours/2/golden"
    golden.mkdir(parents=True)
    (golden / "red.png").write_bytes(plain(RED))
    house.add(2, golden=[{"file": "red.png", "predictions": [{"index": 0, "score": 0.5}]}])
    await house.refresh()
    assert await house.ask() == "red 1"
    assert "golden[0]: red.png: class 0 scores" in house.reason(2)


async def test_repaired_version_is_loaded(house: House) -> None:
    house.add(2, labels=["one"])
    await house.refresh()
    assert house.states()[2] is FAILED
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 2"
    assert house.reason(2) == ""


async def test_newest_loadable_version_answers(house: House) -> None:
    house.add(2)
    house.add(3, labels=["one"])
    await house.refresh()
    assert await house.ask() == "red 2"
    assert house.states()[3] is FAILED


async def test_pinned_version_stays_despite_new_versions(house: House) -> None:
    house.policy('{"default": 1}')
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 1"
    assert house.states() == {1: READY, 2: UNLOADED}


async def test_labelled_and_listed_versions_are_served_with_the_default(house: House) -> None:
    for version in (2, 3, 4):
        house.add(version)
    house.policy('{"default": "stable", "labels": {"stable": 2, "canary": 4}, "load": [1]}')
    await house.refresh()
    assert [await house.ask(version) for version in (None, 1, 2, 4)] == [
        *("red 2", "red 1", "red 2", "red 4")
    ]
    shown = {one.version: (one.default, one.labels) for one in house.classifier.versions("colours")}
    assert shown == {
        4: (False, ["canary"]),
        3: (False, []),
        2: (True, ["stable"]),
        1: (False, []),
    }


async def test_pin_to_a_failing_version_keeps_the_answering_one(house: House) -> None:
    house.add(2, labels=["one"])
    house.policy('{"default": 2}')
    await house.refresh()
    assert await house.ask() == "red 1"


async def test_unreadable_policy_changes_nothing(house: House) -> None:
    house.policy('{"default": 1}')
    await house.refresh()
    house.add(2)
    house.policy("{")
    await house.refresh()
    assert await house.ask() == "red 1"
    house.policy("{}")
    await house.refresh()
    assert await house.ask() == "red 2"


async def test_new_model_is_served_and_listed(house: House) -> None:
    write_model(house.root, name="another", labels=["red 1", "b", "c"])
    await house.refresh()
    assert await house.ask(name="another") == "red 1"
    assert [model.name for model in house.classifier.models().models] == ["another", "colours"]


async def test_answering_version_without_its_folder_keeps_answering(house: House) -> None:
    shutil.rmtree(house.root / "colours")
    await house.refresh()
    assert await house.ask() == "red 1"


async def test_missing_repository_keeps_models_serving(house: House) -> None:
    shutil.rmtree(house.root)
    with pytest.raises(ModelRefused):
        await house.refresh()
    assert await house.ask() == "red 1"


async def test_removed_version_is_forgotten(house: House) -> None:
    house.add(2)
    house.policy('{"default": 2, "load": [1]}')
    await house.refresh()
    shutil.rmtree(house.root / "colours/1")
    await house.refresh()
    await eventually(lambda: house.states() == {2: READY})
    assert house.counted("potoo_model_version_state", version="1", state="READY") == 0


async def test_files_changed_in_place_are_reloaded_only_if_valid(
    house: House,
) -> None:
    model = house.registry.get("colours")
    house.add(1, sha256="0" * 64)
    await house.refresh()
    assert house.registry.get("colours") is model
    assert house.states() == {1: READY}
    house.add(1, description="another")
    await house.refresh()
    assert house.registry.get("colours") is not model
    assert await house.ask() == "red 1"
    await eventually(lambda: house.released == 1)


# Requests in progress


async def test_running_requests_finish_on_their_version(house: House) -> None:
    asked = [asyncio.create_task(house.ask()) for _ in range(20)]
    await asyncio.sleep(0)
    house.add(2)
    await house.refresh()
    assert await asyncio.gather(*asked) == ["red 1"] * 20
    assert await house.ask() == "red 2"


async def test_leased_version_answers_until_released(house: House) -> None:
    ticket = house.classifier.issue_ticket(None, None, ANYONE)
    with house.classifier.lease(ticket) as leased:
        house.add(2)
        await house.refresh()
        assert house.states()[1] is VersionState.UNLOADING
        ref, _ = await house.classifier.classify(plain(RED), leased, top_k=1)
        assert (ref.version, house.released) == (1, 0)
        assert await house.ask() == "red 2"
    await eventually(lambda: house.released == 1)


async def test_version_swaps_lose_no_request_and_keep_order(house: House) -> None:
    answers: list[str] = []

    async def ask_on(versions: int) -> None:
        while f"red {versions}" not in answers[-4:]:
            answers.append(await house.ask())

    crowd = [asyncio.create_task(ask_on(6)) for _ in range(4)]
    for version in range(2, 7):
        house.add(version)
        await house.refresh()
    await asyncio.gather(*crowd)
    assert set(answers) >= {"red 1", "red 6"}
    numbers = [int(answer.split()[1]) for answer in answers]
    assert all(later >= earlier - 1 for earlier, later in pairwise(numbers))
    await eventually(lambda: house.released == 5)


async def test_readiness_metrics_describe_the_answering_version(house: House) -> None:
    assert house.counted("potoo_model_ready") == 1
    house.add(2)
    await house.refresh()
    await eventually(lambda: house.released == 1)
    assert house.counted("potoo_model_ready") == 1
    assert house.classifier.readiness() == {"colours": True}
    states = {
        state: house.counted("potoo_model_version_state", version="1", state=state)
        for state in VersionState
    }
    assert states.pop(UNLOADED) == 1
    assert set(states.values()) == {0}
    assert house.counted("potoo_model_load_duration_seconds_count") == 2
