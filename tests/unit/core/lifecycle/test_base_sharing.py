"""Taught versions of one base: one session of it, one run of it for several heads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from observability.metrics.metrics import Metrics
from schemas.errors import InvalidImage, ModelNotFound
from schemas.models import HEAD_FILE, MANIFEST_FILE
from service.core.engine.engine import Images, Outputs
from service.core.engine.pool import WorkerPool
from service.core.engine.shared_base import HeadEngine, SharedBases
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.serving.registry import Registry
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.taught import BASE, write_taught
from tests.support.models.tiny_model import image_limits

pytestmark = pytest.mark.anyio
Load = Callable[[Path, SharedBases | None], Model]


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool("heads", 1)
    yield pool
    pool.close()


@pytest.fixture
def load(pool: WorkerPool) -> Iterator[Load]:
    models: list[Model] = []

    def loaded(folder: Path, bases: SharedBases | None) -> Model:
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1), bases=bases)
        models.append(load_model(folder, pool, options, Metrics()))
        return models[-1]

    yield loaded
    for model in models:
        model.release()


class Counted:
    """The runs of a shared base."""

    def __init__(self, engine: HeadEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        run = engine.base.run

        def counted(images: Images, *, alone: bool = False) -> Outputs:
            self.sizes.append(len(images))
            return run(images, alone=alone)

        monkeypatch.setattr(engine.base, "run", counted)


@pytest.fixture
async def heads(tmp_path: Path, load: Load) -> tuple[Classifier, SharedBases]:
    bases = SharedBases()
    names = ["door", "lamp", "tap"]
    models = {
        name: load(write_taught(tmp_path, name, seed), bases) for seed, name in enumerate(names)
    }
    models["everyday"] = load(BASE, bases)
    return Classifier(Registry(models, "door"), default_timeout=30), bases


def _engine(model: Model) -> HeadEngine:
    engine = model._engine
    assert isinstance(engine, HeadEngine)
    return engine


async def test_heads_of_a_base_share_it_until_the_last_ends(
    heads: tuple[Classifier, SharedBases],
) -> None:
    classifier, bases = heads
    taught = [classifier._registry.get(name) for name in ("door", "lamp", "tap")]
    assert len({id(_engine(model).base) for model in taught}) == 1
    assert len(bases) == 1
    for left, model in enumerate(taught, 1):
        model.release()
        model.release()
        assert len(bases) == (0 if left == 3 else 1)


async def test_several_heads_cost_one_run(
    heads: tuple[Classifier, SharedBases], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, _ = heads
    names = ["door", "lamp", "everyday", "tap"]
    tickets = [classifier.issue_ticket(name, None, ANYONE) for name in names]
    expected = [await classifier.classify(plain(RED), ticket, top_k=2) for ticket in tickets]
    counted = Counted(_engine(tickets[0].model), monkeypatch)
    found = await classifier.classify_each(plain(RED), tickets, top_k=2)
    assert counted.sizes == [1]
    assert [ref for ref, _ in found] == [ref for ref, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert [each.label for each in one.predictions] == [
            each.label for each in other.predictions
        ]
        scores = [each.score for each in other.predictions]
        assert [each.score for each in one.predictions] == pytest.approx(scores, abs=1e-5)


async def test_a_head_answers_as_its_whole_graph(tmp_path: Path, load: Load) -> None:
    folder = write_taught(tmp_path, "door", 1)
    shared, whole = load(folder, SharedBases()), load(folder, None)
    assert not isinstance(whole._engine, HeadEngine)
    kind = whole._kind
    (noise, _) = kind.stack(list(kind.varied()))[0]
    expected_NK = whole._engine.run(noise)
    assert _engine(shared).run(noise) == pytest.approx(expected_NK, abs=1e-3)
    assert shared.output_shape == whole.output_shape == (2,)


async def test_a_bad_image_fails_for_all_heads(heads: tuple[Classifier, SharedBases]) -> None:
    classifier, _ = heads
    tickets = [classifier.issue_ticket(name, None, ANYONE) for name in ("door", "lamp")]
    broken = plain(RED)[:40]
    with pytest.raises(InvalidImage):
        await classifier.classify_each(broken, tickets, top_k=1)
    statistics = [ticket.model.statistics for ticket in tickets]
    assert [one.fail.count for one in statistics] == [1, 1]


async def test_a_version_unloaded_meanwhile_is_not_found(
    heads: tuple[Classifier, SharedBases],
) -> None:
    classifier, _ = heads
    tickets = [classifier.issue_ticket(name, None, ANYONE) for name in ("door", "lamp")]
    registry = classifier._registry
    model = registry.begin_unloading("lamp", 1)
    assert model is not None
    registry.remove_version("lamp", 1)
    with pytest.raises(ModelNotFound):
        await classifier.classify_each(plain(RED), tickets, top_k=1)


async def test_a_head_of_another_graph_is_not_shared(tmp_path: Path, load: Load) -> None:
    folder = write_taught(tmp_path, "door", 1)
    head = onnx.load(folder / HEAD_FILE)
    bias = next(one for one in head.graph.initializer if one.name.endswith("bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    (folder / HEAD_FILE).write_bytes(head.SerializeToString())
    _expect_whole(load, folder)


@pytest.mark.parametrize("content", [b"", b"no graph"])
async def test_a_damaged_head_is_not_shared(tmp_path: Path, load: Load, content: bytes) -> None:
    folder = write_taught(tmp_path, "door", 1)
    (folder / HEAD_FILE).write_bytes(content)
    _expect_whole(load, folder)


async def test_a_missing_output_of_features_is_not_shared(tmp_path: Path, load: Load) -> None:
    folder = write_taught(tmp_path, "door", 1)
    manifest = (folder / MANIFEST_FILE).read_text()
    assert "potoo.teach.features" in manifest
    (folder / MANIFEST_FILE).write_text(manifest.replace("potoo.teach.features", "elsewhere"))
    _expect_whole(load, folder)


async def test_a_base_that_differs_is_not_shared(tmp_path: Path, load: Load) -> None:
    """Two manifests name the same base, but the graph of one is another."""
    bases = SharedBases()
    load(write_taught(tmp_path, "door", 1), bases)
    folder = write_taught(tmp_path, "lamp", 2)
    model = onnx.load(folder / "model.onnx")
    first = model.graph.initializer[0]
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * 2, first.name))
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    manifest = (folder / MANIFEST_FILE).read_text()
    old = hashlib.sha256((tmp_path / "lamp" / "1" / "model.onnx").read_bytes()).hexdigest()
    was = manifest.split('"sha256":"')[1][:64]
    (folder / MANIFEST_FILE).write_text(manifest.replace(was, old, 1))
    lamp = load(folder, bases)
    assert not isinstance(lamp._engine, HeadEngine)
    assert len(bases) == 1


def _expect_whole(load: Load, folder: Path) -> None:
    bases = SharedBases()
    model = load(folder, bases)
    assert not isinstance(model._engine, HeadEngine)
    assert model.is_ready
    assert len(bases) == 0
