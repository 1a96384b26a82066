"""The classifier: models by name, deadlines, readiness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from observability.metrics.metrics import Metrics
from schemas.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    UnsupportedImage,
)
from service.core.engine.pool import WorkerPool
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.serving.registry import Registry
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import image_limits, write_model

pytestmark = pytest.mark.anyio


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Model]:
    pool = WorkerPool("classifier", 1)
    options = ModelOptions(image_limits(), RunSettings(threads_alone=1))
    yield load_model(write_model(tmp_path), pool, options, Metrics())
    pool.close()


@pytest.fixture
def classifier(model: Model) -> Classifier:
    return Classifier(Registry({"colours": model}, "colours"), default_timeout=30)


@pytest.mark.parametrize("name", [None, "colours"])
async def test_named_or_default_model_answers(classifier: Classifier, name: str | None) -> None:
    ticket = classifier.issue_ticket(name, None, ANYONE)
    ref, answer = await classifier.classify(plain(RED), ticket, top_k=1)
    assert (ref.name, ref.version) == ("colours", 1)
    assert answer.predictions[0].label == "red"
    assert classifier.resolve(name) == ref


async def test_an_unknown_model_is_not_found(classifier: Classifier) -> None:
    with pytest.raises(ModelNotFound):
        classifier.issue_ticket("other", None, ANYONE)
    with pytest.raises(ModelNotFound):
        classifier.model("other")
    with pytest.raises(ModelNotFound):
        classifier.resolve("other")


async def test_unready_model_refuses_calls_but_is_listed(
    classifier: Classifier, model: Model
) -> None:
    model.set_ready(ready=False)
    with pytest.raises(NotReady):
        classifier.issue_ticket(None, None, ANYONE)
    assert classifier.readiness() == {"colours": False}
    assert classifier.models().models[0].ready is False
    assert classifier.model("colours").ready is False


async def test_group_of_images_is_answered_in_order(classifier: Classifier, model: Model) -> None:
    files = [plain(RED), plain(GREEN), plain(BLUE)]
    ticket = classifier.issue_ticket("colours", None, ANYONE)
    answers = await classifier.classify_all(files, ticket, top_k=2)
    assert [answer.predictions[0].label for answer in answers] == ["red", "green", "blue"]
    assert {len(answer.predictions) for answer in answers} == {2}
    assert model.statistics.inference_count == 3
    assert model.statistics.success.count == 1


async def test_one_bad_image_fails_the_whole_group(classifier: Classifier, model: Model) -> None:
    ticket = classifier.issue_ticket("colours", None, ANYONE)
    with pytest.raises(UnsupportedImage, match="Image 1: "):
        await classifier.classify_all([plain(), b"text", plain()], ticket, top_k=1)
    assert model.statistics.fail.count == 1


async def test_image_count_is_checked_before_decoding(
    model: Model,
) -> None:
    few = Classifier(
        Registry({"colours": model}, "colours"), default_timeout=30, max_tensor_batch=2
    )
    ticket = few.issue_ticket("colours", None, ANYONE)
    for count in (0, 3):
        with pytest.raises(InvalidRequest, match=f"1 to 2 images .* not {count}"):
            await few.classify_all([b"text"] * count, ticket, top_k=1)


async def test_label_resolves_to_its_version(model: Model) -> None:
    registry = Registry({"colours": model}, "colours")
    registry.set_labels("colours", {"stable": 1})
    classifier = Classifier(registry, default_timeout=30)
    assert classifier.labelled("colours", "stable") == 1
    assert classifier.issue_ticket("colours", "stable", ANYONE).model is model
    for name, label in (("colours", "canary"), ("other", "stable")):
        with pytest.raises(ModelNotFound):
            classifier.labelled(name, label)
        with pytest.raises(ModelNotFound):
            classifier.issue_ticket(name, label, ANYONE)


async def test_label_moved_during_an_upload_selects_the_new_version(model: Model) -> None:
    registry = Registry({"colours": model}, "colours")
    registry.set_labels("colours", {"stable": 1})
    classifier = Classifier(registry, default_timeout=30)
    ticket = classifier.issue_ticket("colours", "stable", ANYONE)
    registry.set_labels("colours", {"stable": 2})
    with pytest.raises(ModelNotFound):  # there is no version 2
        await classifier.classify(plain(RED), ticket, top_k=1)


async def test_callers_timeout_overrides_the_default(classifier: Classifier, model: Model) -> None:
    hurried = Classifier(Registry({"colours": model}, "colours"), default_timeout=0)

    async def ask(classifier: Classifier, timeout: float | None) -> object:
        ticket = classifier.issue_ticket(None, None, replace(ANYONE, timeout=timeout))
        return await classifier.classify(plain(), ticket, top_k=1)

    with pytest.raises(DeadlineExceeded):
        await ask(classifier, 0)
    with pytest.raises(DeadlineExceeded):
        await ask(hurried, None)
    assert await ask(hurried, 30)


async def test_the_default_model_is_marked(classifier: Classifier) -> None:
    assert [model.default for model in classifier.models().models] == [True]
    assert classifier.model("colours").default is True


async def test_watch_restores_the_readiness_of_a_recovered_model(
    classifier: Classifier, model: Model
) -> None:
    model.set_ready(ready=False)
    watch = asyncio.create_task(classifier.watch(interval=0.001, timeout=10))
    async with asyncio.timeout(10):
        while not model.is_ready:  # noqa: ASYNC110 - nobody tells when it happens
            await asyncio.sleep(0.001)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
