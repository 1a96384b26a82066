"""Starts, and model control while models are served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from observability.logs.logging import configure_logging
from observability.settings import ObservabilitySettings
from schemas.errors import Conflict, ModelNotFound, NotReady
from schemas.serving import VersionState
from service.core.repository.repository import ModelRefused, Repository
from tests.support.models.house import House, opened
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
READY, FAILED, UNLOADED = VersionState.READY, VersionState.FAILED, VersionState.UNLOADED


# Starts


async def test_start_serves_the_newest_loadable_version(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        house.add(1)
        house.add(2, labels=["one"])

    async with opened(tmp_path, fill) as house:
        assert await house.ask() == "red 1"
        assert house.states() == {1: READY, 2: FAILED}


async def test_start_with_a_failing_promotion_serves_the_previous_version(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        for version in (1, 3):
            house.add(version)
        house.add(2, labels=["one"])
        house.policy('{"default": 2, "history": [{"default": 1, "version": 1}]}')

    async with opened(tmp_path, fill) as house:
        assert await house.ask() == "red 1"


async def test_start_without_a_servable_default_fails_naming_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="manifest field labels") as caught:
        async with opened(tmp_path, lambda house: house.add(1, labels=["one"])):
            pass
    assert str(tmp_path / "colours/1") in str(caught.value)


async def test_start_with_a_missing_pinned_version_fails(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        house.add(3)
        house.policy('{"default": 2}')

    with pytest.raises(ModelRefused, match="there is no version 2, which is to be served"):
        async with opened(tmp_path, fill):
            pass


async def test_failing_other_model_is_listed_while_the_default_serves(
    tmp_path: Path,
) -> None:
    def fill(house: House) -> None:
        house.add(1)
        write_model(house.root, name="other", labels=["one"])
        house.choose('{"default_model": "colours"}')

    async with opened(tmp_path, fill) as house:
        assert await house.ask() == "red 1"
        assert house.classifier.readiness() == {"colours": True}
        shown = {model.name: model for model in house.classifier.models().models}
        assert (shown["other"].ready, shown["other"].classes) == (False, 0)
        assert "manifest field labels" in (shown["other"].versions[0].reason or "")
        with pytest.raises(NotReady):
            await house.ask(name="other")
        with pytest.raises(NotReady):
            house.classifier.model("other")


# Changes by callers


async def test_promotion_switches_the_version_and_rollback_restores_it(house: House) -> None:
    house.policy('{"default": 1}')
    house.add(2)
    await house.control.promote("colours", 2, label="stable", by="anna")
    assert await house.ask() == "red 2"
    policy = Repository(house.root).policy("colours")
    assert (policy.default, policy.labels) == ("stable", {"stable": 2})
    await house.control.roll_back("colours", by="anna")
    assert await house.ask() == "red 1"
    assert Repository(house.root).policy("colours").default == 1


async def test_unservable_or_unknown_version_is_not_promoted(house: House) -> None:
    house.add(2, labels=["one"])
    house.policy('{"default": 1}')
    with pytest.raises(Conflict, match="Version 2 cannot be served: manifest field labels"):
        await house.control.promote("colours", 2, by="anna")
    assert Repository(house.root).policy("colours").default == 1
    assert await house.ask() == "red 1"
    for name, version in (("colours", 3), ("other", 1), ("../colours", 1)):
        with pytest.raises(ModelNotFound):
            await house.control.promote(name, version, by="anna")


async def test_version_is_loaded_and_unloaded_on_request(house: House) -> None:
    house.add(2)
    await house.refresh()
    await eventually(lambda: house.released == 1)
    await house.control.load("colours", 1, by="anna")
    assert await house.ask(1) == "red 1"
    await house.refresh()
    assert await house.ask(1) == "red 1"
    await house.control.unload("colours", 1, by="anna")
    with pytest.raises(ModelNotFound):
        await house.ask(1)
    await eventually(lambda: house.states() == {1: UNLOADED, 2: READY})


async def test_required_version_cannot_be_unloaded(house: House) -> None:
    house.add(2)
    house.policy('{"labels": {"stable": 1}}')
    await house.refresh()
    with pytest.raises(Conflict, match="is the default version"):
        await house.control.unload("colours", 2, by="anna")
    with pytest.raises(Conflict, match="labelled 'stable'"):
        await house.control.unload("colours", 1, by="anna")
    with pytest.raises(Conflict, match="is the default model"):
        await house.control.unload("colours", by="anna")


async def test_other_model_is_unloaded_and_loaded_as_a_whole(house: House) -> None:
    write_model(house.root, name="other", labels=["red 1", "b", "c"])
    await house.refresh()
    await house.control.unload("other", by="anna")
    with pytest.raises(NotReady):
        await house.ask(name="other")
    await eventually(lambda: house.states("other") == {1: UNLOADED})
    await house.control.load("other", by="anna")
    assert await house.ask(name="other") == "red 1"


async def test_load_request_retries_a_failed_version(house: House) -> None:
    house.policy('{"default": 1}')
    golden = house.root / "colours/2/golden/red.png"
    sample = [{"file": "red.png", "predictions": [{"index": 0, "score": 0.9999}]}]
    house.add(2, golden=sample)
    golden.parent.mkdir()
    with pytest.raises(Conflict, match="cannot be read"):
        await house.control.load("colours", 2, by="anna")
    golden.write_bytes(plain(RED))
    await house.control.load("colours", 2, by="anna")
    assert await house.ask(2) == "red 2"


async def test_rollback_without_an_earlier_version_is_a_conflict(house: House) -> None:
    with pytest.raises(Conflict, match="no earlier version"):
        await house.control.roll_back("colours", by="anna")


async def test_a_rollback_to_a_labelled_version_that_failed_is_refused(house: House) -> None:
    house.add(2, labels=["one"])
    house.add(3)
    history = '[{"default": 2, "version": 2}]'
    house.policy(f'{{"default": 3, "labels": {{"old": 2}}, "history": {history}}}')
    await house.refresh()
    with pytest.raises(Conflict, match="Version 2 cannot be served: manifest field labels"):
        await house.control.roll_back("colours", by="anna")
    assert Repository(house.root).policy("colours").default == 3
    assert await house.ask() == "red 3"


async def test_unused_version_is_removed(house: House) -> None:
    house.add(2)
    await house.refresh()
    await house.control.load("colours", 1, by="anna")
    with pytest.raises(Conflict, match="is the default version"):
        await house.control.remove("colours", 2, by="anna")
    await house.control.remove("colours", 1, by="anna")
    await house.refresh()
    await eventually(lambda: house.states() == {2: READY})
    with pytest.raises(ModelNotFound):
        await house.control.remove("colours", 1, by="anna")


async def test_model_operations_are_logged_and_counted_as_audit_events(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(ObservabilitySettings(log_format="json"))
    house.add(2)
    await house.control.promote("colours", 2, by="anna")
    await house.control.roll_back("colours", by="anna")
    assert await house.ask() == "red 1"
    await house.control.load("colours", 2, by="anna")
    await house.control.unload("colours", 2, by="anna")
    events = [f"model_{event}" for event in ("promoted", "rolled_back", "loaded", "unloaded")]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logged = [line for line in lines if line["logger"] == "audit"]
    assert [line["event"] for line in logged] == events
    assert [line["version"] for line in logged] == [2, 1, 2, 2]
    assert {(line["account"], line["model"]) for line in logged} == {("anna", "colours")}
    for event in events:
        labels = {"event": event}
        assert house.metrics.registry.get_sample_value("potoo_audit_events_total", labels) == 1


async def test_full_load_list_refuses_another_version(house: House) -> None:
    house.add(2)
    house.policy(f'{{"default": 1, "load": {list(range(101, 165))}}}')
    with pytest.raises(Conflict, match="This cannot be done: load: "):
        await house.control.load("colours", 2, by="anna")
    assert await house.ask() == "red 1"
