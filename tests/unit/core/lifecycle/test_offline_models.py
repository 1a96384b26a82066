"""Changes to a repository without a server in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import Conflict
from schemas.serving import POLICY_FILE, REPOSITORY_FILE
from service.core.lifecycle.model_control import ModelControl
from service.core.lifecycle.offline_models import OfflineModels
from service.core.repository.repository import (
    ModelRefused,
    NoSuchModel,
    NoSuchVersion,
    Repository,
)
from service.core.repository.serving_policy import PolicyRefused, VersionInUse
from tests.support.models.tiny_model import write_model

pytestmark = pytest.mark.anyio


class Desk:
    """A repository with three versions; those in ``faulty`` cannot be served."""

    def __init__(self, root: Path, setting: str | None = None) -> None:
        self.faulty: set[str] = set()
        self.checked: list[str] = []
        self.metrics = Metrics()
        self.repository = Repository(root)
        host = OfflineModels(self.repository, self.check, setting)
        self.control = ModelControl(host, Audit(self.metrics))

    def check(self, folder: Path) -> None:
        self.checked.append(folder.name)
        if folder.name in self.faulty:
            raise ModelRefused(f"{folder}: faulty")

    def default(self) -> object:
        return self.repository.policy("colours").default


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for version in (1, 2, 3):
        write_model(tmp_path, None, version=version)
    return tmp_path


@pytest.fixture
def desk(root: Path) -> Desk:
    return Desk(root)


async def test_a_promotion_is_stored_once_the_version_passed(desk: Desk) -> None:
    desk.faulty = {"3"}
    with pytest.raises(ModelRefused, match="3: faulty"):
        await desk.control.promote("colours", 3, by="cli:anna")
    assert desk.default() == "latest"
    await desk.control.promote("colours", 1, by="cli:anna")
    assert desk.default() == 1
    await desk.control.roll_back("colours", by="cli:anna")
    assert desk.default() == 2


async def test_latest_is_promoted_although_the_newest_version_fails(desk: Desk) -> None:
    await desk.control.promote("colours", 1, by="cli:anna")
    desk.faulty = {"3"}
    await desk.control.promote("colours", None, by="cli:anna")
    assert desk.default() == "latest"


async def test_a_rollback_to_a_version_that_fails_is_refused(desk: Desk, root: Path) -> None:
    policy = '{"default": 3, "history": [{"default": 2, "version": 2}], "labels": {"old": 2}}'
    (root / "colours" / POLICY_FILE).write_text(policy)
    desk.faulty = {"2"}
    with pytest.raises(ModelRefused, match="2: faulty"):
        await desk.control.roll_back("colours", by="cli:anna")
    assert desk.default() == 3


async def test_a_version_is_loaded_and_unloaded_by_policy(desk: Desk) -> None:
    await desk.control.load("colours", 1, by="cli:anna")
    assert (desk.repository.policy("colours").load, desk.checked[-1]) == ((1,), "1")
    await desk.control.unload("colours", 1, by="cli:anna")
    assert desk.repository.policy("colours").load == ()
    with pytest.raises(Conflict, match="is the default model"):
        await desk.control.unload("colours", by="cli:anna")


async def test_unknown_models_and_versions_are_named(desk: Desk) -> None:
    control = desk.control
    with pytest.raises(NoSuchModel, match="there is no model 'birds'"):
        await control.promote("birds", 1, by="cli:anna")
    with pytest.raises(NoSuchModel):
        await control.choose_default("birds", by="cli:anna")
    for change in (control.promote, control.load, control.unload, control.remove):
        with pytest.raises(NoSuchVersion, match="no version 4 of the model 'colours'"):
            await change("colours", 4, by="cli:anna")
    assert desk.checked == ["3"] * len(desk.checked)


async def test_a_version_in_use_is_neither_unloaded_nor_removed(desk: Desk, root: Path) -> None:
    (root / "colours" / POLICY_FILE).write_text('{"labels": {"old": 1}}')
    for change in (desk.control.unload, desk.control.remove):
        with pytest.raises(VersionInUse, match="version 3 of 'colours' is the default"):
            await change("colours", 3, by="cli:anna")
        with pytest.raises(VersionInUse, match="is labelled 'old'"):
            await change("colours", 1, by="cli:anna")
    await desk.control.remove("colours", 2, by="cli:anna")
    assert list(desk.repository.versions("colours")) == [1, 3]


async def test_a_policy_that_cannot_be_read_is_not_changed(desk: Desk, root: Path) -> None:
    (root / "colours" / POLICY_FILE).write_text("{")
    with pytest.raises(ModelRefused, match=POLICY_FILE):
        await desk.control.promote("colours", 1, by="cli:anna")
    assert (root / "colours" / POLICY_FILE).read_text() == "{"


async def test_a_default_model_needs_a_version_that_passes(desk: Desk, root: Path) -> None:
    desk.faulty = {"1", "2", "3"}
    with pytest.raises(ModelRefused, match="1: faulty"):
        await desk.control.choose_default("colours", by="cli:anna")
    assert not (root / REPOSITORY_FILE).exists()
    desk.faulty = {"3"}
    await desk.control.choose_default("colours", by="cli:anna")
    assert desk.repository.chosen_model() == "colours"
    await desk.control.choose_default(None, by="cli:anna")
    assert desk.repository.chosen_model() is None


async def test_the_default_model_by_setting_is_not_unloaded(root: Path) -> None:
    write_model(root, None, name="other")
    control = Desk(root, setting="other").control
    await control.unload("colours", by="cli:anna")
    with pytest.raises(Conflict):
        await control.unload("other", by="cli:anna")
    with pytest.raises(ModelRefused, match="the setting default_model names 'other'"):
        await control.remove("other", 1, by="cli:anna")


async def test_without_an_earlier_version_nothing_is_stored(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(PolicyRefused, match="no earlier version"):
        await Desk(tmp_path).control.roll_back("colours", by="cli:anna")
    assert not (tmp_path / "colours" / POLICY_FILE).exists()
