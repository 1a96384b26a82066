"""Images enter a graph as pixels, tensors as they are, and both may share a batch."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from structlog.testing import capture_logs

from observability.metrics.metrics import Metrics
from schemas.errors import InferenceFailed
from schemas.models import ModelManifest
from service.core.engine.engine import Images
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pool import WorkerPool
from service.core.imaging.hedging import Hedger
from service.core.imaging.preprocessing import Preprocessor, pixel_spec
from service.core.serving.batch_executor import BatchExecutor, RowTask
from service.core.serving.checks.pixel_check import pixel_difference
from service.core.serving.kinds.images import ImageKind
from service.core.serving.statistics import StatisticsCollector
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import (
    LABELS,
    SIDE,
    colour_graph,
    colour_manifest,
    image_limits,
    input_spec,
    served,
    write_model,
)

SPEC = ModelManifest.model_validate(colour_manifest(b"")).image_input
PHOTOS = [plain(colour) for colour in (RED, GREEN, BLUE)]


def tensor(photo: bytes) -> Images:
    return Preprocessor(SPEC, image_limits())(photo).tensor


def old_graph() -> onnx.ModelProto:
    """The colour model with operators of a time before they broadcast."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Sum", ["mean"] * 10, ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=3)


@pytest.fixture
def executor(tmp_path: Path) -> BatchExecutor:
    folder = write_model(tmp_path)
    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_text())
    engine = OnnxEngine(folder / "model.onnx", manifest, pixels=True)
    assert engine.takes_pixels
    return BatchExecutor(
        manifest,
        ImageKind(
            manifest.image_input, Preprocessor(pixel_spec(manifest.image_input), image_limits())
        ),
        engine,
        WorkerPool("pixels", 1),
        Metrics().models.version(manifest.name, 1, manifest.sha256),
        StatisticsCollector(),
        Hedger(manifest, LABELS),
    )


def best(executor: BatchExecutor, rows: list[bytes | Images]) -> list[int]:
    batch = [executor.prepare(RowTask(row, 1), may_be_slow=True) for row in rows]
    return [answer.indices[0] for answer in executor.run(batch)]


def test_images_are_pixels_and_tensors_are_not(executor: BatchExecutor) -> None:
    image = executor.prepare(RowTask(PHOTOS[0], 1), may_be_slow=True)
    assert (image.tensor.dtype, image.tensor.shape) == (np.dtype(np.uint8), (SIDE, SIDE, 3))
    given = tensor(PHOTOS[0])
    assert executor.prepare(RowTask(given, 1), may_be_slow=True).tensor is given


@pytest.mark.parametrize("are_tensors", ["nnn", "yyy", "nyn", "yny", "ynn", "nny"])
def test_images_and_tensors_may_share_a_batch(executor: BatchExecutor, are_tensors: str) -> None:
    rows = [
        tensor(photo) if is_tensor == "y" else photo
        for photo, is_tensor in zip(PHOTOS, are_tensors, strict=True)
    ]
    assert best(executor, rows) == [0, 1, 2]
    assert best(executor, rows[::-1]) == [2, 1, 0]


def test_raw_outputs_of_a_mixed_batch_are_those_of_single_rows(executor: BatchExecutor) -> None:
    noise = np.random.default_rng(0).random((3, SIDE, SIDE), np.float32)
    rows: list[bytes | Images] = [PHOTOS[1], noise, PHOTOS[0], tensor(PHOTOS[2])]
    prepared = [executor.prepare(RowTask(row), may_be_slow=True) for row in rows]
    together = [answer.output_K for answer in executor.run(prepared)]
    alone = [executor.run([one])[0].output_K for one in prepared]
    assert np.array_equal(together, alone)


@pytest.mark.anyio
async def test_answers_are_those_of_normalised_tensors(tmp_path: Path) -> None:
    normalised = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    spec = {**dict(colour_manifest(b"")["input"]), **normalised}  # type: ignore[call-overload]
    folder = write_model(tmp_path, input=spec)
    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_text())
    engine = OnnxEngine(folder / "model.onnx", manifest)
    preprocess = Preprocessor(manifest.image_input, image_limits())
    async with served(folder, run=RunSettings(threads_alone=1, max_batch_size=2)) as model:
        for photo in PHOTOS:
            found = await model.classify(photo, 3, time.monotonic() + 30, ANYONE)
            logits = engine.run(preprocess(photo).tensor[np.newaxis])[0]
            shares = np.exp(logits - logits.max(), dtype=np.float32)
            order = [prediction.index for prediction in found.predictions]
            assert order == list(np.argsort(-shares))
            scores = [prediction.score for prediction in found.predictions]
            assert scores == pytest.approx(list((shares / shares.sum())[order]), abs=1e-6)


@pytest.mark.anyio
async def test_model_that_keeps_the_old_way_logs_one_line_with_the_reason(tmp_path: Path) -> None:
    output = {"name": "logits", "kind": "logits", "rank": 4}
    folder = write_model(tmp_path, old_graph(), output=output)
    with capture_logs() as log:
        async with served(folder) as model:
            found = await asyncio.gather(
                *(model.classify(photo, 1, time.monotonic() + 30, ANYONE) for photo in PHOTOS)
            )
    assert [answer.predictions[0].index for answer in found] == [0, 1, 2]
    (event,) = log
    assert event["event"] == "pixels are normalised before the graph"
    assert (event["model"], event["version"], event["log_level"]) == ("colours", 1, "info")
    assert event["reason"] == "its operators are of version 6, before 7"


@pytest.mark.anyio
async def test_extended_model_logs_nothing(tmp_path: Path) -> None:
    with capture_logs() as log:
        async with served(write_model(tmp_path, colour_graph())):
            pass
    assert log == []


class FakeEngine:
    """Averages channels; ``shift`` and ``error`` affect pixels alone."""

    def __init__(self, shift: float = 0.0, error: str = "") -> None:
        self.takes_pixels, self.max_batch_size, self.output_shape = True, None, (3,)
        self.shift, self.error = np.float32(shift), error
        self.seen: list[Images] = []

    def run(self, images: Images, *, alone: bool = False) -> NDArray[np.float32]:
        del alone
        self.seen.append(images)
        if images.dtype == np.uint8:
            if self.error:
                raise InferenceFailed from ValueError(self.error)
            means: NDArray[np.float32] = images.astype(np.float32).mean(axis=(1, 2)) + self.shift
        else:
            means = images.transpose(0, 2, 3, 1).astype(np.float32).mean(axis=(1, 2))
        return means

    def shrink(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


PLAIN = input_spec(dtype="float32", layout="NCHW")


def test_equal_answers_are_accepted_after_all_levels_were_seen() -> None:
    engine = FakeEngine()
    assert pixel_difference(engine, PLAIN) is None
    pixels = engine.seen[0]
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (1, SIDE, SIDE, 3))
    for channel in range(3):
        assert set(np.unique(pixels[..., channel])) == set(range(256))


def test_the_smallest_difference_is_found() -> None:
    reason = pixel_difference(FakeEngine(shift=1e-4), PLAIN)
    assert reason is not None
    assert reason.startswith("answers differ by up to ")


def test_failing_run_is_a_reason() -> None:
    assert pixel_difference(FakeEngine(error="no room"), PLAIN) == "the graph fails: no room"
