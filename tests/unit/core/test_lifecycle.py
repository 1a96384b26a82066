"""What is loaded follows the repository: gates, switches, drains, and orders by people."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from observability.audit import Audit
from observability.metrics import Metrics
from schemas.errors import Conflict, ModelNotFound, NotReady
from schemas.serving import POLICY_FILE, VersionState
from service.core.classifier import Classifier
from service.core.lifecycle import Lifecycle
from service.core.model import Model
from service.core.model_control import ModelControl
from service.core.pool import WorkerPool
from service.core.registry import ModelOptions, load_model
from service.core.repository import ModelRefused, Repository
from service.core.settings import RunSettings
from tests.pictures import RED, plain
from tests.tiny_model import image_limits, write_model

pytestmark = pytest.mark.anyio
READY, FAILED, UNLOADED = VersionState.READY, VersionState.FAILED, VersionState.UNLOADED


class House:
    """A repository, what is served of it, and what happened."""

    def __init__(self, root: Path, pool: WorkerPool) -> None:
        self.root, self.metrics, self.released = root, Metrics(), 0
        self.loaded: list[str] = []
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1))

        def load(folder: Path) -> Model:
            self.loaded.append(f"{folder.parent.name}/{folder.name}")
            return load_model(folder, pool, options, self.metrics)

        def released() -> None:
            self.released += 1

        self.lifecycle = Lifecycle(Repository(root), load, self.metrics, after_release=released)
        self.registry = self.lifecycle.registry
        self.control = ModelControl(self.lifecycle, Audit(self.metrics))
        self.classifier = Classifier(self.registry, default_timeout=10)

    def add(self, version: int, **changes: object) -> Path:
        """A version whose labels say which one it is."""
        labels = [f"{colour} {version}" for colour in ("red", "green", "blue")]
        return write_model(self.root, None, **{"version": version, "labels": labels, **changes})

    def policy(self, text: str, name: str = "colours") -> None:
        (self.root / name / POLICY_FILE).write_text(text)

    async def look(self) -> None:
        """Twice: what is new is taken when it has not changed between two looks."""
        await self.lifecycle.look()
        await self.lifecycle.look()

    async def ask(self, version: int | None = None, name: str | None = None) -> str:
        ref, answer = await self.classifier.classify(
            plain(RED), model=name, version=version, top_k=1, timeout=None
        )
        label = answer.predictions[0].label
        assert label == f"red {ref.version}", "an answer of one version under another's name"
        return label

    def states(self, name: str = "colours") -> dict[int, VersionState]:
        return {number: one.state for number, one in self.registry.versions(name).items()}

    def reason(self, version: int) -> str:
        return self.registry.versions("colours")[version].reason

    def counted(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"model": "colours", **labels})


@asynccontextmanager
async def opened(root: Path, fill: Callable[[House], object]) -> AsyncIterator[House]:
    pool = WorkerPool("lifecycle", 1)
    house = House(root, pool)
    fill(house)
    try:
        await house.lifecycle.start(None)
        yield house
    finally:
        await house.lifecycle.close()
        pool.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One version, served."""
    async with opened(tmp_path / "models", lambda house: house.add(1)) as started:
        yield started


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - nobody tells when it happens
            await asyncio.sleep(0.005)


# What follows the repository


async def test_a_new_version_answers_and_the_old_one_gives_its_memory_back(house: House) -> None:
    assert await house.ask() == "red 1"
    house.add(2)
    await house.look()
    assert await house.ask() == "red 2"
    await until(lambda: house.states() == {1: UNLOADED, 2: READY})
    assert house.released == 1
    with pytest.raises(ModelNotFound):
        await house.ask(1)


async def test_a_folder_that_still_grows_waits(house: House) -> None:
    folder = house.add(2)
    await house.lifecycle.look()
    assert await house.ask() == "red 1"
    (folder / "README.md").write_text("more")
    await house.lifecycle.look()
    assert house.loaded == ["colours/1"]
    await house.lifecycle.look()
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
    await house.look()
    assert await house.ask() == "red 1"
    assert house.states() == {1: READY, 2: FAILED}
    assert reason in house.reason(2)
    assert str(house.root) not in house.reason(2)
    assert house.counted("potoo_model_load_failures_total") == 1
    await house.look()
    assert house.loaded == ["colours/1", "colours/2"], "the same files are not tried again"
    with pytest.raises(NotReady):
        await house.ask(2)


async def test_a_golden_answer_that_is_not_given_any_more_is_a_gate(house: House) -> None:
    golden = house.root / "colours/2/golden"
    golden.mkdir(parents=True)
    (golden / "red.png").write_bytes(plain(RED))
    house.add(2, golden=[{"file": "red.png", "predictions": [{"index": 0, "score": 0.5}]}])
    await house.look()
    assert await house.ask() == "red 1"
    assert "golden[0]: red.png: class 0 scores" in house.reason(2)


async def test_a_failed_version_is_tried_again_when_it_was_mended(house: House) -> None:
    house.add(2, labels=["one"])
    await house.look()
    assert house.states()[2] is FAILED
    house.add(2)
    await house.look()
    assert await house.ask() == "red 2"
    assert house.reason(2) == ""


async def test_of_several_new_versions_the_latest_that_is_ready_answers(house: House) -> None:
    house.add(2)
    house.add(3, labels=["one"])
    await house.look()
    assert await house.ask() == "red 2"
    assert house.states()[3] is FAILED


async def test_a_pin_holds_whatever_is_added(house: House) -> None:
    house.policy('{"default": 1}')
    house.add(2)
    await house.look()
    assert await house.ask() == "red 1"
    assert house.states() == {1: READY, 2: UNLOADED}


async def test_labelled_and_listed_versions_are_served_beside_the_default(house: House) -> None:
    for version in (2, 3, 4):
        house.add(version)
    house.policy('{"default": "stable", "labels": {"stable": 2, "canary": 4}, "load": [1]}')
    await house.look()
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
    await house.look()
    assert await house.ask() == "red 1"


async def test_a_policy_that_cannot_be_read_leaves_things_as_they_are(house: House) -> None:
    house.policy('{"default": 1}')
    await house.look()
    house.add(2)
    house.policy("{")
    await house.look()
    assert await house.ask() == "red 1"
    house.policy("{}")
    await house.look()
    assert await house.ask() == "red 2"


async def test_a_new_model_is_served_and_changes_no_default(house: House) -> None:
    write_model(house.root, name="another", labels=["red 1", "b", "c"])
    await house.look()
    assert await house.ask(name="another") == "red 1"
    assert house.registry.default == "colours"
    assert [model.name for model in house.classifier.models().models] == ["another", "colours"]


async def test_what_answers_stays_in_memory_when_its_folder_is_taken_away(house: House) -> None:
    shutil.rmtree(house.root / "colours")
    await house.look()
    assert await house.ask() == "red 1"


async def test_a_repository_that_is_gone_is_no_reason_to_stop(house: House) -> None:
    shutil.rmtree(house.root)
    with pytest.raises(ModelRefused):
        await house.look()
    assert await house.ask() == "red 1"


async def test_a_version_that_is_removed_is_forgotten(house: House) -> None:
    house.add(2)
    house.policy('{"default": 2, "load": [1]}')
    await house.look()
    shutil.rmtree(house.root / "colours/1")
    await house.look()
    await until(lambda: house.states() == {2: READY})
    assert house.counted("potoo_model_version_state", version="1", state="READY") == 0


async def test_files_that_were_changed_in_place_are_loaded_again_or_not_at_all(
    house: House,
) -> None:
    model = house.registry.get("colours")
    house.add(1, sha256="0" * 64)
    await house.look()
    assert house.registry.get("colours") is model
    assert house.states() == {1: READY}
    house.add(1, description="another")
    await house.look()
    assert house.registry.get("colours") is not model
    assert await house.ask() == "red 1"
    await until(lambda: house.released == 1)


# What was begun


async def test_what_was_begun_finishes_on_its_version(house: House) -> None:
    asked = [asyncio.create_task(house.ask()) for _ in range(20)]
    await asyncio.sleep(0)
    house.add(2)
    await house.look()
    assert await asyncio.gather(*asked) == ["red 1"] * 20
    assert await house.ask() == "red 2"


async def test_a_leased_model_answers_until_it_is_given_back(house: House) -> None:
    with house.classifier.lease(None) as model:
        house.add(2)
        await house.look()
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
        await house.look()
    await asyncio.gather(*crowd)
    assert set(answers) >= {"red 1", "red 6"}
    numbers = [int(answer.split()[1]) for answer in answers]
    assert all(later >= earlier - 1 for earlier, later in pairwise(numbers))
    await until(lambda: house.released == 5)


async def test_readiness_is_that_of_the_version_that_answers(house: House) -> None:
    assert house.counted("potoo_model_ready") == 1
    house.add(2)
    await house.look()
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


# Starts


async def test_a_start_takes_the_latest_that_is_ready(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        house.add(1)
        house.add(2, labels=["one"])

    async with opened(tmp_path, fill) as house:
        assert await house.ask() == "red 1"
        assert house.states() == {1: READY, 2: FAILED}


async def test_a_start_with_a_failed_promotion_goes_on_with_what_served(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        for version in (1, 3):
            house.add(version)
        house.add(2, labels=["one"])
        house.policy('{"default": 2, "history": [{"default": 1, "version": 1}]}')

    async with opened(tmp_path, fill) as house:
        assert await house.ask() == "red 1"


async def test_a_start_without_the_default_model_fails_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="manifest field labels") as caught:
        async with opened(tmp_path, lambda house: house.add(1, labels=["one"])):
            pass
    assert str(tmp_path / "colours/1") in str(caught.value)


async def test_a_start_with_a_pin_to_nothing_says_so(tmp_path: Path) -> None:
    def fill(house: House) -> None:
        house.add(3)
        house.policy('{"default": 2}')

    with pytest.raises(ModelRefused, match="there is no version 2, which is to be served"):
        async with opened(tmp_path, fill):
            pass


async def test_another_model_that_fails_is_shown_and_the_default_one_serves(
    tmp_path: Path,
) -> None:
    def fill(house: House) -> None:
        house.add(1)
        write_model(house.root, name="other", labels=["one"])

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


# Orders


async def test_a_promotion_loads_checks_and_switches(house: House) -> None:
    house.policy('{"default": 1}')
    house.add(2)
    await house.control.promote("colours", 2, label="stable", by="anna")
    assert await house.ask() == "red 2"
    policy = Repository(house.root).policy("colours")
    assert (policy.default, policy.labels) == ("stable", {"stable": 2})
    await house.control.roll_back("colours", by="anna")
    assert await house.ask() == "red 1"
    assert Repository(house.root).policy("colours").default == 1


async def test_what_cannot_be_served_is_not_promoted(house: House) -> None:
    house.add(2, labels=["one"])
    house.policy('{"default": 1}')
    with pytest.raises(Conflict, match="Version 2 cannot be served: manifest field labels"):
        await house.control.promote("colours", 2, by="anna")
    assert Repository(house.root).policy("colours").default == 1
    assert await house.ask() == "red 1"
    for name, version in (("colours", 3), ("other", 1), ("../colours", 1)):
        with pytest.raises(ModelNotFound):
            await house.control.promote(name, version, by="anna")


async def test_a_version_is_loaded_and_unloaded_by_order(house: House) -> None:
    house.add(2)
    await house.look()
    await until(lambda: house.released == 1)
    await house.control.load("colours", 1, by="anna")
    assert await house.ask(1) == "red 1"
    await house.look()
    assert await house.ask(1) == "red 1"
    await house.control.unload("colours", 1, by="anna")
    with pytest.raises(ModelNotFound):
        await house.ask(1)
    await until(lambda: house.states() == {1: UNLOADED, 2: READY})


async def test_what_is_needed_is_not_unloaded(house: House) -> None:
    house.add(2)
    house.policy('{"labels": {"stable": 1}}')
    await house.look()
    with pytest.raises(Conflict, match="answers when none is named"):
        await house.control.unload("colours", 2, by="anna")
    with pytest.raises(Conflict, match="labelled 'stable'"):
        await house.control.unload("colours", 1, by="anna")
    with pytest.raises(Conflict, match="when no model is named"):
        await house.control.unload("colours", by="anna")


async def test_another_model_is_unloaded_and_loaded_as_a_whole(house: House) -> None:
    write_model(house.root, name="other", labels=["red 1", "b", "c"])
    await house.look()
    await house.control.unload("other", by="anna")
    with pytest.raises(NotReady):
        await house.ask(name="other")
    await until(lambda: house.states("other") == {1: UNLOADED})
    await house.control.load("other", by="anna")
    assert await house.ask(name="other") == "red 1"


async def test_an_order_to_load_tries_again_what_failed(house: House) -> None:
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


async def test_without_an_earlier_version_there_is_nothing_to_roll_back(house: House) -> None:
    with pytest.raises(Conflict, match="no earlier version"):
        await house.control.roll_back("colours", by="anna")


async def test_orders_are_in_the_security_log(house: House) -> None:
    house.add(2)
    await house.control.promote("colours", 2, by="anna")
    await house.control.roll_back("colours", by="anna")
    assert await house.ask() == "red 1"
    await house.control.load("colours", 2, by="anna")
    await house.control.unload("colours", 2, by="anna")
    for event in ("promoted", "rolled_back", "loaded", "unloaded"):
        labels = {"event": f"model_{event}"}
        assert house.metrics.registry.get_sample_value("potoo_audit_events_total", labels) == 1


async def test_a_policy_that_is_full_takes_no_more(house: House) -> None:
    house.add(2)
    house.policy(f'{{"default": 1, "load": {list(range(101, 165))}}}')
    with pytest.raises(Conflict, match="This cannot be done: load: "):
        await house.control.load("colours", 2, by="anna")
    assert await house.ask() == "red 1"
