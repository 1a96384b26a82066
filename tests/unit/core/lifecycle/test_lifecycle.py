"""Loaded versions follow the repository: checks, switches, drains."""

from __future__ import annotations

import asyncio
import shutil
from itertools import pairwise

import pytest

from schemas.errors import ModelNotFound, NotReady
from schemas.serving import VersionState
from service.core.repository.repository import ModelRefused
from tests.support.models.house import House, until
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model

pytestmark = pytest.mark.anyio
READY, FAILED, UNLOADED = VersionState.READY, VersionState.FAILED, VersionState.UNLOADED


# What follows the repository


async def test_a_new_version_answers_and_the_old_one_gives_its_memory_back(house: House) -> None:
    assert await house.ask() == "red 1"
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 2"
    await until(lambda: house.states() == {1: UNLOADED, 2: READY})
    assert house.released == 1
    with pytest.raises(ModelNotFound):
        await house.ask(1)


async def test_a_folder_that_still_grows_waits(house: House) -> None:
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
async def test_a_version_that_fails_a_check_is_shown_and_the_old_one_keeps_serving(
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


async def test_a_golden_answer_that_is_not_given_any_more_is_a_gate(house: House) -> None:
    golden = house.root / "colours/2/golden"
    golden.mkdir(parents=True)
    (golden / "red.png").write_bytes(plain(RED))
    house.add(2, golden=[{"file": "red.png", "predictions": [{"index": 0, "score": 0.5}]}])
    await house.refresh()
    assert await house.ask() == "red 1"
    assert "golden[0]: red.png: class 0 scores" in house.reason(2)


async def test_a_failed_version_is_tried_again_when_it_was_mended(house: House) -> None:
    house.add(2, labels=["one"])
    await house.refresh()
    assert house.states()[2] is FAILED
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 2"
    assert house.reason(2) == ""


async def test_of_several_new_versions_the_latest_that_is_ready_answers(house: House) -> None:
    house.add(2)
    house.add(3, labels=["one"])
    await house.refresh()
    assert await house.ask() == "red 2"
    assert house.states()[3] is FAILED


async def test_a_pin_holds_whatever_is_added(house: House) -> None:
    house.policy('{"default": 1}')
    house.add(2)
    await house.refresh()
    assert await house.ask() == "red 1"
    assert house.states() == {1: READY, 2: UNLOADED}


async def test_labelled_and_listed_versions_are_served_beside_the_default(house: House) -> None:
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


async def test_a_pin_to_what_fails_leaves_what_answers(house: House) -> None:
    house.add(2, labels=["one"])
    house.policy('{"default": 2}')
    await house.refresh()
    assert await house.ask() == "red 1"


async def test_a_policy_that_cannot_be_read_leaves_things_as_they_are(house: House) -> None:
    house.policy('{"default": 1}')
    await house.refresh()
    house.add(2)
    house.policy("{")
    await house.refresh()
    assert await house.ask() == "red 1"
    house.policy("{}")
    await house.refresh()
    assert await house.ask() == "red 2"


async def test_a_new_model_is_served_and_listed(house: House) -> None:
    write_model(house.root, name="another", labels=["red 1", "b", "c"])
    await house.refresh()
    assert await house.ask(name="another") == "red 1"
    assert [model.name for model in house.classifier.models().models] == ["another", "colours"]


async def test_what_answers_stays_in_memory_when_its_folder_is_taken_away(house: House) -> None:
    shutil.rmtree(house.root / "colours")
    await house.refresh()
    assert await house.ask() == "red 1"


async def test_a_repository_that_is_gone_is_no_reason_to_stop(house: House) -> None:
    shutil.rmtree(house.root)
    with pytest.raises(ModelRefused):
        await house.refresh()
    assert await house.ask() == "red 1"


async def test_a_version_that_is_removed_is_forgotten(house: House) -> None:
    house.add(2)
    house.policy('{"default": 2, "load": [1]}')
    await house.refresh()
    shutil.rmtree(house.root / "colours/1")
    await house.refresh()
    await until(lambda: house.states() == {2: READY})
    assert house.counted("potoo_model_version_state", version="1", state="READY") == 0


async def test_files_that_were_changed_in_place_are_loaded_again_or_not_at_all(
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
    await until(lambda: house.released == 1)


# Requests in progress


async def test_what_was_begun_finishes_on_its_version(house: House) -> None:
    asked = [asyncio.create_task(house.ask()) for _ in range(20)]
    await asyncio.sleep(0)
    house.add(2)
    await house.refresh()
    assert await asyncio.gather(*asked) == ["red 1"] * 20
    assert await house.ask() == "red 2"


async def test_a_leased_model_answers_until_it_is_given_back(house: House) -> None:
    with house.classifier.lease(None) as model:
        house.add(2)
        await house.refresh()
        assert house.states()[1] is VersionState.UNLOADING
        ref, _ = await house.classifier.classify(plain(RED), model=model, top_k=1, timeout=None)
        assert (ref.version, house.released) == (1, 0)
        assert await house.ask() == "red 2"
    await until(lambda: house.released == 1)


async def test_a_swap_loses_no_request_and_mixes_no_answers(house: House) -> None:
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
    await until(lambda: house.released == 5)


async def test_readiness_is_that_of_the_version_that_answers(house: House) -> None:
    assert house.counted("potoo_model_ready") == 1
    house.add(2)
    await house.refresh()
    await until(lambda: house.released == 1)
    assert house.counted("potoo_model_ready") == 1
    assert house.classifier.readiness() == {"colours": True}
    states = {
        state: house.counted("potoo_model_version_state", version="1", state=state)
        for state in VersionState
    }
    assert states.pop(UNLOADED) == 1
    assert set(states.values()) == {0}
    assert house.counted("potoo_model_load_duration_seconds_count") == 2
