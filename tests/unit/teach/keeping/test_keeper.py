"""Photos that are kept: once, within budgets, never at the cost of labelled ones."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auth.store.database import Database
from observability.metrics.metrics import Metrics
from schemas.teach.dataset import PhotoSource
from service.core.imaging.answer import Classification, ImageFacts, Prediction, Timing
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model
from service.settings.teach import KeepRule
from service.teach.keeping.keeper import WAITING, Keeper
from tests.support.auth.identity_kit import opened
from tests.support.models.tiny_model import served, write_model
from tests.support.teach.drawn import drawn
from tests.support.teach.kit import NAME, Kit, open_kit
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
UNSURE = Classification(
    summary=None,
    predictions=[Prediction("red", 0, 0.4), Prediction("green", 1, 0.3)],
    labels_present=None,
    abstained=True,
    calibrated=True,
    image=ImageFacts("png", 1, 1),
    timing=Timing(1, 1, 1, 3),
)
DOOR = CallContext("camera:door", 1, "camera")
KIOSK = CallContext("kiosk", 1, "http")


@pytest.fixture
async def embedded(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    file = tmp_path / "embedded.db"
    shutil.copy(sqlite_template, file)
    async with opened(f"sqlite:///{file}") as database:
        yield database


@pytest.fixture
def kit(embedded: Database, tmp_path: Path) -> Iterator[Kit]:
    with open_kit(embedded, tmp_path / "data") as kit:
        yield kit


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Model]:
    async with served(write_model(tmp_path / "models")) as model:
        yield model


class Keeping:
    """A keeper, and what it counted."""

    def __init__(self, kit: Kit, **rule: Any) -> None:
        self.kit, self.metrics, self.now = kit, Metrics(), 1_700_000_000.0
        given = {"dataset": NAME, "cameras": ["*"], "accounts": ["kiosk"], **rule}
        rules = [KeepRule.model_validate(given)]
        self.keeper = Keeper(rules, self.metrics.teach, clock=lambda: self.now)

    def not_kept(self, reason: str, source: str = "camera") -> float:
        name, labels = "potoo_photos_not_kept_total", {"source": source, "reason": reason}
        return self.metrics.registry.get_sample_value(name, labels) or 0

    def kept(self, source: str = "camera") -> float:
        name, labels = "potoo_photos_kept_total", {"source": source, "worth": "unsure"}
        return self.metrics.registry.get_sample_value(name, labels) or 0


@asynccontextmanager
async def keeping(kit: Kit, **rule: Any) -> AsyncIterator[Keeping]:
    await kit.add_dataset("red", "green")
    found = Keeping(kit, **rule)
    task = asyncio.create_task(found.keeper.run(lambda: kit.datasets))
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_unsure_frame_is_kept_with_its_answer_and_group(kit: Kit, model: Model) -> None:
    async with keeping(kit) as found:
        found.keeper.answered(model, drawn("disc", 1), UNSURE, DOOR)
        await eventually(lambda: found.kept() == 1)
        (photo,) = await kit.datasets.photos.all(NAME)
        assert (photo.source, photo.labels) == (PhotoSource.CAMERA, None)
        assert photo.group == "camera:door:2023-11-14"
        assert photo.answer is not None
        assert (photo.answer.model, photo.answer.label, photo.answer.score) == (
            "colours",
            None,
            0.4,
        )


async def test_near_duplicates_and_known_photos_are_kept_once(kit: Kit, model: Model) -> None:
    async with keeping(kit) as found:
        for _ in range(2):
            found.keeper.answered(model, drawn("disc", 1), UNSURE, DOOR)
        found.keeper.answered(model, drawn("disc", 2), UNSURE, KIOSK)
        await eventually(lambda: found.kept("answer") == 1)
        assert (found.kept(), found.not_kept("duplicate")) == (1, 1)
    again = Keeping(kit)
    task = asyncio.create_task(again.keeper.run(lambda: kit.datasets))
    again.keeper.answered(model, drawn("disc", 2), UNSURE, DOOR)
    await eventually(lambda: again.not_kept("duplicate") == 1)
    task.cancel()


async def test_only_named_callers_who_do_not_decline_are_kept(kit: Kit, model: Model) -> None:
    async with keeping(kit, cameras=["gate"], models=["colours"]) as found:
        calls = (
            DOOR,
            CallContext("anna", 1, "http"),
            CallContext("kiosk", 1, "grpc"),
            replace(KIOSK, may_keep=False),
        )
        for number, call in enumerate(calls):
            found.keeper.answered(model, drawn("disc", number), UNSURE, call)
        sure = replace(UNSURE, abstained=False, predictions=[Prediction("red", 0, 0.99)])
        found.keeper.answered(model, drawn("disc", 8), sure, KIOSK)
        found.keeper.answered(model, drawn("disc", 9), UNSURE, KIOSK)
        await eventually(lambda: found.kept("answer") == 1)
        assert len(await kit.datasets.photos.all(NAME)) == 1
        assert [found.keeper.may_keep(name) for name in ("kiosk", "anna")] == [True, False]


async def test_budget_of_an_hour_and_full_queue_drop_photos(kit: Kit, model: Model) -> None:
    async with keeping(kit, per_hour=1) as found:
        for number in range(WAITING + 3):
            found.keeper.answered(model, drawn("disc", number), UNSURE, DOOR)
        assert found.not_kept("queue") == 3
        await eventually(lambda: found.not_kept("budget") == WAITING - 1)
        assert found.kept() == 1
        found.now += 3600
        found.keeper.answered(model, drawn("stripes", 5), UNSURE, DOOR)
        await eventually(lambda: found.kept() == 2)


async def test_oldest_kept_photos_without_a_label_make_room(kit: Kit, model: Model) -> None:
    size = len(drawn("disc", 1))
    async with keeping(kit) as found:
        rule = found.keeper._rules[0]
        found.keeper._rules = [rule.model_copy(update={"max_bytes": int(2.5 * size)})]
        labelled = await kit.add_photo(1, "red")
        for number in (1, 2):
            found.keeper.answered(model, drawn("disc", number), UNSURE, DOOR)
            await eventually(lambda: found.kept() == number)  # noqa: B023
        first, second = [one.id for one in await kit.datasets.photos.all(NAME)][1:]
        await kit.datasets.photos.set_labels(NAME, [first], ["green"], by="anna")
        for number in (3, 4):
            found.keeper.answered(model, drawn("disc", number), UNSURE, DOOR)
            await eventually(lambda: found.kept() == number)  # noqa: B023
        left = [one.id for one in await kit.datasets.photos.all(NAME)]
        assert labelled.id in left
        assert first in left, "it has a label"
        assert second not in left
        assert len(left) == 4


async def test_photo_that_cannot_be_kept_harms_nobody(kit: Kit, model: Model) -> None:
    async with keeping(kit, dataset=NAME) as found:
        found.keeper.answered(model, b"no image", UNSURE, DOOR)
        await eventually(lambda: found.not_kept("refused") == 1)
        await kit.datasets.administration.remove(NAME, by="anna")
        found.keeper.answered(model, drawn("disc", 1), UNSURE, DOOR)
        await eventually(lambda: found.not_kept("refused") == 2)
        await kit.add_dataset("red")
        found.keeper.answered(model, drawn("disc", 2), UNSURE, DOOR)
        await eventually(lambda: found.kept() == 1)
