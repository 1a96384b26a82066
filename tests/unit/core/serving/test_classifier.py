"""The classifier: models by name, deadlines, readiness."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from observability.metrics import Metrics
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
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import of_bytes
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
async def test_the_named_or_the_default_model_answers(
    classifier: Classifier, name: str | None
) -> None:
    ref, answer = await classifier.classify(plain(RED), model=name, top_k=1, timeout=None)
    assert (ref.name, ref.version) == ("colours", 1)
    assert answer.predictions[0].label == "red"
    assert classifier.resolve(name) == ref


async def test_an_unknown_model_is_not_found(classifier: Classifier) -> None:
    with pytest.raises(ModelNotFound):
        await classifier.classify(plain(), model="other", top_k=1, timeout=None)
    with pytest.raises(ModelNotFound):
        classifier.model("other")
    with pytest.raises(ModelNotFound):
        classifier.resolve("other")


async def test_a_model_that_is_not_ready_refuses_but_can_be_seen(
    classifier: Classifier, model: Model
) -> None:
    model.set_ready(ready=False)
    with pytest.raises(NotReady):
        await classifier.classify(plain(), model=None, top_k=1, timeout=None)
    assert classifier.readiness() == {"colours": False}
    assert classifier.models().models[0].ready is False
    assert classifier.model("colours").ready is False


async def test_images_that_belong_together_are_answered_in_their_order(
    classifier: Classifier, model: Model
) -> None:
    files = [plain(RED), plain(GREEN), plain(BLUE)]
    answers = await classifier.classify_all(files, model="colours", top_k=2, owner="me")
    assert [answer.predictions[0].label for answer in answers] == ["red", "green", "blue"]
    assert {len(answer.predictions) for answer in answers} == {2}
    assert model.statistics.inference_count == 3
    assert model.statistics.success.count == 1


async def test_one_bad_image_fails_all_that_belong_together(
    classifier: Classifier, model: Model
) -> None:
    with pytest.raises(UnsupportedImage, match="Image 1: "):
        await classifier.classify_all([plain(), b"text", plain()], model="colours", top_k=1)
    assert model.statistics.fail.count == 1
    with pytest.raises(ModelNotFound):
        await classifier.classify_all([plain()], model="other", top_k=1)


async def test_images_that_belong_together_are_counted_before_they_are_looked_at(
    model: Model,
) -> None:
    few = Classifier(
        Registry({"colours": model}, "colours"), default_timeout=30, max_tensor_batch=2
    )
    for count in (0, 3):
        with pytest.raises(InvalidRequest, match=f"1 to 2 images .* not {count}"):
            await few.classify_all([b"text"] * count, model="colours", top_k=1)


async def test_a_label_stands_for_a_version(model: Model) -> None:
    registry = Registry({"colours": model}, "colours")
    registry.set_labels("colours", {"stable": 1})
    classifier = Classifier(registry, default_timeout=30)
    assert classifier.labelled("colours", "stable") == 1
    for name, label in (("colours", "canary"), ("other", "stable")):
        with pytest.raises(ModelNotFound):
            classifier.labelled(name, label)


async def test_a_leased_model_is_asked_whatever_answers_by_now(
    classifier: Classifier, model: Model
) -> None:
    given = of_bytes("image", [plain(RED)], (1,))
    with classifier.lease("colours") as leased:
        request = InferRequest("gone meanwhile", inputs=(given,))
        answer = await classifier.infer(request, model=leased)
    assert answer.model == model.ref


async def test_a_callers_time_out_goes_before_the_default(
    classifier: Classifier, model: Model
) -> None:
    with pytest.raises(DeadlineExceeded):
        await classifier.classify(plain(), model=None, top_k=1, timeout=0)
    hurried = Classifier(Registry({"colours": model}, "colours"), default_timeout=0)
    with pytest.raises(DeadlineExceeded):
        await hurried.classify(plain(), model=None, top_k=1, timeout=None)
    assert await hurried.classify(plain(), model=None, top_k=1, timeout=30)


async def test_the_default_model_is_marked(classifier: Classifier) -> None:
    assert [model.default for model in classifier.models().models] == [True]
    assert classifier.model("colours").default is True


async def test_watching_makes_a_recovered_model_ready_again(
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
