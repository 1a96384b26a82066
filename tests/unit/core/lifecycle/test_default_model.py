"""The default model: the setting, the stored choice, or the only model."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.errors import Conflict, ModelNotChosen, ModelNotFound
from schemas.serving import POLICY_FILE, REPOSITORY_FILE, VersionState
from service.core.lifecycle.default_model import default_model
from service.core.repository.repository import ModelRefused, Repository
from tests.support.models.calls import ANYONE
from tests.support.models.house import House, opened
from tests.support.models.tiny_model import write_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
CHOSEN = '{"default_model": "colours"}'
OTHER_CHOSEN = '{"default_model": "other"}'


def add_other(house: House, **changes: object) -> None:
    write_model(house.root, None, **{"name": "other", "labels": ["red 1", "b", "c"], **changes})


def fill(house: House) -> None:
    """Two models without a chosen default."""
    house.add(1)
    add_other(house)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[House]:
    """Two served models, one of them chosen as default."""

    def choose(house: House) -> None:
        fill(house)
        house.choose(CHOSEN)

    async with opened(tmp_path / "models", choose) as started:
        yield started


def answers(house: House) -> str:
    """The default model, or the error code of calls without a model."""
    try:
        return house.classifier.resolve(None).name
    except ModelNotChosen as error:
        return error.detail


NAME_ONE = (
    "Name one of these models: colours, other; or choose a default with "
    "'potoo models default NAME'."
)


@pytest.mark.parametrize(
    ("setting", "chosen", "names", "answers"),
    [
        ("a", "b", ["a", "b"], "a"),
        ("a", None, ["a", "b"], "a"),
        (None, "b", ["a", "b"], "b"),
        (None, "b", ["a"], None),
        (None, None, ["a"], "a"),
        (None, None, ["a", "b"], None),
        (None, None, [], None),
    ],
)
def test_setting_precedes_choice_and_choice_precedes_only_model(
    setting: str | None, chosen: str | None, names: list[str], answers: str | None
) -> None:
    assert default_model(setting, chosen, names) == answers


# Starts


async def test_several_models_without_a_choice_require_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, fill) as house:
        assert answers(house) == NAME_ONE
        assert await house.ask(name="other") == "red 1"
        assert house.classifier.readiness() == {"colours": True, "other": True}
        assert house.classifier.default is None
        house.lifecycle.log_failures()
        await house.refresh()
    assert capsys.readouterr().out.count("calls that name no model are refused") == 1


async def test_error_lists_only_models_the_caller_may_use(tmp_path: Path) -> None:
    async with opened(tmp_path, fill) as house:
        with pytest.raises(ModelNotChosen, match="of these models: other;") as caught:
            house.classifier.issue_ticket(None, None, ANYONE, may_use=lambda name: name == "other")
        assert "colours" not in caught.value.detail
        with pytest.raises(ModelNotChosen) as caught:
            house.classifier.issue_ticket(None, None, ANYONE, may_use=lambda _: False)
        assert caught.value.detail == ModelNotChosen.default_detail


def test_error_lists_at_most_twenty_models() -> None:
    told = ModelNotChosen([f"m{number:02}" for number in range(30)]).detail
    assert "m19 and 10 more; or" in told
    assert "m20" not in told


async def test_missing_chosen_model_leaves_no_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(house: House) -> None:
        fill(house)
        house.choose('{"default_model": "gone"}')

    async with opened(tmp_path, choose) as house:
        assert answers(house) == NAME_ONE
        house.lifecycle.log_failures()
        assert "chosen default model not found" in capsys.readouterr().out


async def test_failing_chosen_model_aborts_the_start(tmp_path: Path) -> None:
    def choose(house: House) -> None:
        house.add(1)
        add_other(house, labels=["one"])
        house.choose(OTHER_CHOSEN)

    with pytest.raises(ModelRefused, match="manifest field labels"):
        async with opened(tmp_path, choose):
            pass


async def test_start_without_any_servable_model_fails(tmp_path: Path) -> None:
    def spoil(house: House) -> None:
        house.add(1, labels=["one"])
        add_other(house, labels=["one"])

    with pytest.raises(ModelRefused, match="manifest field labels"):
        async with opened(tmp_path, spoil):
            pass


async def test_unreadable_choice_aborts_the_start(tmp_path: Path) -> None:
    def spoil(house: House) -> None:
        fill(house)
        house.choose("{")

    with pytest.raises(ModelRefused, match=REPOSITORY_FILE):
        async with opened(tmp_path, spoil):
            pass


async def test_setting_overrides_any_choice(tmp_path: Path) -> None:
    def choose(house: House) -> None:
        fill(house)
        house.choose(CHOSEN)

    async with opened(tmp_path, choose, "other") as house:
        assert answers(house) == "other"
        house.choose("{")
        await house.refresh()
        assert answers(house) == "other"
        house.choose("{}")
        await house.control.choose_default("colours", by="anna")
        assert answers(house) == "other"
        assert Repository(tmp_path).chosen_model() == "colours"


# Changes of the repository


async def test_second_model_removes_the_implicit_default(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    add_other(house)
    await house.lifecycle.refresh()
    assert answers(house) == "colours", "the folder may be growing still"
    await house.lifecycle.refresh()
    assert answers(house) == NAME_ONE
    await house.refresh()
    assert capsys.readouterr().out.count("calls that name no model are refused") == 1


async def test_changed_choice_takes_effect(two: House) -> None:
    assert answers(two) == "colours"
    two.choose(OTHER_CHOSEN)
    await two.lifecycle.refresh()
    assert answers(two) == "other"
    two.choose("{}")
    await two.lifecycle.refresh()
    assert answers(two) == NAME_ONE
    assert [model.default for model in two.classifier.models().models] == [False, False]
    two.choose(CHOSEN)
    await two.lifecycle.refresh()
    assert answers(two) == "colours"


async def test_newly_chosen_model_answers_once_loaded(house: House) -> None:
    house.choose(OTHER_CHOSEN)
    add_other(house)
    await house.lifecycle.refresh()
    assert answers(house) == "colours"
    await house.lifecycle.refresh()
    assert answers(house) == "other"


async def test_failing_chosen_model_keeps_the_previous_default(house: House) -> None:
    add_other(house, labels=["one"])
    house.choose(OTHER_CHOSEN)
    await house.refresh()
    assert answers(house) == "colours"


async def test_unreadable_choice_keeps_the_previous_default(
    two: House, capsys: pytest.CaptureFixture[str]
) -> None:
    two.choose("{")
    await two.refresh()
    assert answers(two) == "colours"
    assert capsys.readouterr().out.count("cannot read the chosen default model") == 1


async def test_chosen_model_is_loaded_although_unloaded(two: House) -> None:
    await two.control.unload("other", by="anna")
    await eventually(lambda: two.states("other") == {1: VersionState.UNLOADED})
    two.choose(OTHER_CHOSEN)
    await two.refresh()
    assert answers(two) == "other"


async def test_chosen_model_without_its_folder_keeps_answering(two: House) -> None:
    shutil.rmtree(two.root / "colours")
    await two.refresh()
    assert answers(two) == "colours"


async def test_only_remaining_model_becomes_the_default(tmp_path: Path) -> None:
    async with opened(tmp_path, fill) as house:
        shutil.rmtree(tmp_path / "colours")
        await house.refresh()
        assert answers(house) == "other"


# Changes by callers


async def test_default_choice_is_stored_and_takes_effect_immediately(two: House) -> None:
    await two.control.unload("other", by="anna")
    await two.control.choose_default("other", by="anna")
    assert answers(two) == "other"
    assert Repository(two.root).chosen_model() == "other"
    labels = {"event": "model_default_changed"}
    assert two.metrics.registry.get_sample_value("potoo_audit_events_total", labels) == 1
    with pytest.raises(Conflict, match="is the default model"):
        await two.control.unload("other", by="anna")
    await two.control.unload("colours", by="anna")
    await two.refresh()
    await eventually(lambda: two.states() == {1: VersionState.UNLOADED})


async def test_unusable_model_cannot_be_chosen(two: House) -> None:
    add_other(two, name="broken", labels=["one"])
    for name in ("gone", "../colours", ""):
        with pytest.raises(ModelNotFound):
            await two.control.choose_default(name, by="anna")
    with pytest.raises(Conflict, match="No version of this model can be served"):
        await two.control.choose_default("broken", by="anna")
    (two.root / "other" / POLICY_FILE).write_text("{")
    two.choose("{")
    with pytest.raises(Conflict, match="cannot be read"):
        await two.control.choose_default("other", by="anna")
    two.choose(CHOSEN)
    await two.refresh()
    assert answers(two) == "colours"
