"""A served model: results, canary, statistics."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from observability.metrics.metrics import Metrics
from schemas.classify import Classification
from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidImage,
    NotReady,
    Overloaded,
    UnsupportedImage,
)
from schemas.models import ModelManifest
from service.core.engine.engine import Images
from service.core.engine.pool import WorkerPool
from service.core.imaging.preprocessing import Preprocessor
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.serving.kinds.images import ImageKind
from service.core.serving.model import Model
from service.core.serving.queries.presenting import info_of, summary_of
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import BLUE, GREEN, RED, encoded, gradient, plain
from tests.support.models.tiny_model import (
    LABELS,
    colour_manifest,
    image_limits,
    served,
    write_model,
)

pytestmark = pytest.mark.anyio

MIXED = (200, 190, 10)
"""Red and green are close: the best score is about 0.6."""


def soon() -> float:
    return time.monotonic() + 30


class FakeEngine:
    """Returns the mean of each channel, unless configured otherwise.

    ``sizes`` of the batches it saw, and whether each was ``alone``.
    """

    def __init__(self, max_batch_size: int | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.takes_pixels = False
        self.output_shape = (3,)
        self.sizes: list[int] = []
        self.alone: list[bool] = []
        self.offset, self.error = 0.0, False
        self.gate = threading.Event()
        self.gate.set()
        self.is_closed = False
        self.shrinks = 0

    def run(self, images: Images, *, alone: bool = False) -> NDArray[np.float32]:
        self.alone.append(alone)
        self.gate.wait(10)
        self.sizes.append(len(images))
        if self.error:
            raise InferenceFailed
        output: NDArray[np.float32] = 10 * images.astype(np.float32).mean(axis=(2, 3))
        output[:, 0] += self.offset
        return output

    def shrink(self) -> None:
        self.shrinks += 1

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    workers = WorkerPool("model", 1)
    yield workers
    workers.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def model(pool: WorkerPool, engine: FakeEngine, metrics: Metrics) -> Model:
    """On a fake engine. Async, because a model belongs to the event loop it was made on."""
    return make(pool, engine, metrics)


def make(
    pool: WorkerPool, engine: FakeEngine, metrics: Metrics, policy: BatchPolicy | None = None
) -> Model:
    manifest = ModelManifest.model_validate(colour_manifest(b""))
    model = Model(
        Path("nowhere"),
        manifest,
        LABELS,
        ImageKind(manifest.image_input, Preprocessor(manifest.image_input, image_limits())),
        engine,
        pool,
        policy or BatchPolicy(),
        metrics.models.version(manifest.name, manifest.version, manifest.sha256),
    )
    model.warm_up()
    return model


async def test_answer_holds_labels_scores_image_and_timing(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        answer = await model.classify(plain(GREEN, (64, 48), "BMP"), 2, soon(), ANYONE)
    best, second = answer.predictions
    assert (best.label, best.index, second.index) == ("green", 1, 0)
    assert best.score == pytest.approx(1 / (1 + 2 * np.exp(-10)), abs=1e-3)
    assert answer.abstained is False
    assert (answer.image.format, answer.image.width, answer.image.height) == ("BMP", 64, 48)
    timing = answer.timing
    assert 0 < timing.decode_ms <= timing.total_ms
    assert 0 < timing.inference_ms <= timing.total_ms
    assert 0 <= timing.queue_ms <= timing.total_ms
    Classification.model_validate(asdict(answer))


async def test_predictions_never_exceed_the_number_of_classes(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        answer = await model.classify(plain(RED), 100, soon(), ANYONE)
    assert [prediction.label for prediction in answer.predictions] == ["red", "green", "blue"]
    assert sum(prediction.score for prediction in answer.predictions) == pytest.approx(1, abs=1e-5)


async def test_indices_include_dropped_classes(tmp_path: Path) -> None:
    output = {"name": "logits", "kind": "logits", "label_offset": 1}
    folder = write_model(tmp_path, labels=["green", "blue"], output=output)
    async with served(folder) as model:
        (best,) = (await model.classify(plain(BLUE), 1, soon(), ANYONE)).predictions
    assert (best.label, best.index) == ("blue", 2)


@pytest.mark.parametrize(("threshold", "abstained"), [(0.5, False), (0.9, True), (0.0, False)])
async def test_model_abstains_below_its_threshold(
    tmp_path: Path, metrics: Metrics, threshold: float, abstained: bool
) -> None:
    folder = write_model(tmp_path, abstain_below=threshold)
    async with served(folder, metrics=metrics) as model:
        answer = await model.classify(plain(MIXED), 1, soon(), ANYONE)
    assert 0.5 < answer.predictions[0].score < 0.9
    assert answer.abstained is abstained
    count = metrics.registry.get_sample_value("potoo_abstentions_total", {"model": "colours"})
    assert count == int(abstained)


async def test_invalid_images_never_reach_the_engine(model: Model, engine: FakeEngine) -> None:
    engine.sizes.clear()
    with pytest.raises(UnsupportedImage):
        await model.classify(b"not an image", 1, soon(), ANYONE)
    with pytest.raises(InvalidImage):
        await model.classify(encoded(gradient())[:200], 1, soon(), ANYONE)
    assert engine.sizes == []


async def test_failing_engine_fails_only_the_call(model: Model, engine: FakeEngine) -> None:
    engine.error = True
    with pytest.raises(InferenceFailed):
        await model.classify(plain(), 1, soon(), ANYONE)
    engine.error = False
    assert (await model.classify(plain(), 1, soon(), ANYONE)).predictions[0].label == "red"


async def test_every_stage_is_measured(model: Model, metrics: Metrics) -> None:
    await model.classify(plain(), 1, soon(), ANYONE)
    value, labels = metrics.registry.get_sample_value, {"model": "colours"}
    for stage in ("decode", "preprocess", "queue", "inference", "postprocess"):
        name = "potoo_stage_duration_seconds_count"
        assert value(name, {**labels, "stage": stage}) == 1, stage
    assert value("potoo_batch_size_count", labels) == 1
    assert value("potoo_predictions_total", {**labels, "protocol": "test"}) == 1
    assert value("potoo_queue_depth", labels) == 0
    run_by = {"provider": "cpu", "precision": "f32"}
    info = {**labels, "version": "1", "sha256": model.manifest.sha256, **run_by}
    assert value("potoo_model_info", info) == 1


async def test_full_queue_and_missed_deadline_are_counted(
    pool: WorkerPool, engine: FakeEngine, metrics: Metrics
) -> None:
    model = make(pool, engine, metrics, BatchPolicy(queue_capacity=1))
    value = metrics.registry.get_sample_value
    engine.gate.clear()
    first = asyncio.create_task(model.classify(plain(), 1, soon(), ANYONE))
    await asyncio.sleep(0)
    assert value("potoo_queue_depth", {"model": "colours"}) == 1
    with pytest.raises(Overloaded):
        await model.classify(plain(), 1, soon(), ANYONE)
    engine.gate.set()
    await first
    with pytest.raises(DeadlineExceeded):
        await model.classify(plain(), 1, time.monotonic(), ANYONE)
    assert value("potoo_queue_depth", {"model": "colours"}) == 0
    assert value("potoo_rejections_total", {"reason": "queue_full"}) == 1
    assert value("potoo_rejections_total", {"reason": "deadline"}) == 1


async def test_fixed_batch_size_limits_batches(pool: WorkerPool, metrics: Metrics) -> None:
    engine = FakeEngine(max_batch_size=2)
    model = make(pool, engine, metrics, BatchPolicy(max_batch_size=8))
    engine.sizes.clear()
    calls = [asyncio.create_task(model.classify(plain(), 1, soon(), ANYONE)) for _ in range(5)]
    await asyncio.gather(*calls)
    assert max(engine.sizes) <= 2
    assert sum(engine.sizes) == 5


async def test_waiting_images_run_as_one_batch(
    pool: WorkerPool, engine: FakeEngine, metrics: Metrics
) -> None:
    model = make(pool, engine, metrics, BatchPolicy(max_batch_size=8))
    engine.sizes.clear()
    hold = threading.Event()

    def occupied() -> None:
        hold.wait(10)

    pool.submit(occupied)
    pictures = [plain(colour) for colour in (RED, GREEN, BLUE)]
    calls = [
        asyncio.create_task(model.classify(picture, 1, soon(), ANYONE)) for picture in pictures
    ]
    await asyncio.sleep(0)
    hold.set()
    found = await asyncio.gather(*calls)
    assert [answer.predictions[0].label for answer in found] == ["red", "green", "blue"]
    assert engine.sizes == [3]


async def test_canary_passes_while_the_answer_is_unchanged(model: Model) -> None:
    assert await model.canary(10)
    assert model.is_ready


@pytest.mark.parametrize(("member", "spoilt", "sound"), [("offset", 50, 0), ("error", True, False)])
async def test_canary_fails_on_a_changed_answer_and_recovers(
    model: Model, engine: FakeEngine, member: str, spoilt: float, sound: float
) -> None:
    with capture_logs() as log:
        for value, passes in ((sound, True), (spoilt, False), (spoilt, False), (sound, True)):
            setattr(engine, member, value)
            assert await model.canary(10) is passes
            assert model.is_ready is passes
    assert [(entry["event"], entry["model"]) for entry in log] == [
        ("canary failed: not ready", "colours"),
        ("canary passes again", "colours"),
    ]


async def test_canary_detects_a_blocked_pool(model: Model, engine: FakeEngine) -> None:
    engine.gate.clear()
    stuck = await model.canary(0.01), model.is_ready
    engine.gate.set()
    freed = await model.canary(10), model.is_ready
    assert (stuck, freed) == ((False, False), (True, True))


async def test_memory_of_runs_is_freed_without_requests_between_canaries(
    model: Model, engine: FakeEngine
) -> None:
    assert engine.shrinks == 1  # after the warm-up
    assert await model.canary(10)
    assert engine.shrinks == 2
    await model.classify(plain(), 1, soon(), ANYONE)
    assert await model.canary(10)
    assert engine.shrinks == 2
    assert await model.canary(10)
    assert engine.shrinks == 3


async def test_canary_is_not_counted_as_a_prediction(model: Model, metrics: Metrics) -> None:
    await model.canary(10)
    labels = {"model": "colours", "protocol": "http"}
    assert metrics.registry.get_sample_value("potoo_predictions_total", labels) == 0


async def test_close_answers_accepted_calls_and_releases_the_engine(
    model: Model, engine: FakeEngine
) -> None:
    engine.gate.clear()
    call = asyncio.create_task(model.classify(plain(), 1, soon(), ANYONE))
    await asyncio.sleep(0)
    closing = asyncio.create_task(model.close())
    await asyncio.sleep(0)
    was_closed_early = engine.is_closed
    engine.gate.set()
    assert (await call).predictions[0].label == "red"
    await closing
    assert (was_closed_early, engine.is_closed) == (False, True)
    with pytest.raises(NotReady):
        await model.classify(plain(), 1, soon(), ANYONE)


async def test_model_info_describes_the_model_without_its_path(tmp_path: Path) -> None:
    async with served(write_model(tmp_path, description="Colours", temperature=2)) as model:
        info, summary = info_of(model, default=True), summary_of(model, default=False)
    assert (summary.name, summary.version, summary.classes, summary.ready) == (
        "colours",
        1,
        3,
        True,
    )
    assert (summary.default, info.default) == (False, True)
    assert info.labels == list(LABELS)
    assert info.input == model.manifest.image_input
    assert (info.temperature, info.licence) == (2, "Apache-2.0")
    assert str(tmp_path) not in info.model_dump_json()


async def test_lone_image_may_use_every_core(model: Model, engine: FakeEngine) -> None:
    await model.classify(plain(RED), 1, soon(), ANYONE)
    assert engine.alone[-1]
    engine.gate.clear()
    calls = [asyncio.create_task(model.classify(plain(RED), 1, soon(), ANYONE)) for _ in range(3)]
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(*calls)
    assert engine.alone[-3:] == [False, False, True], "the last one has nobody behind it"
