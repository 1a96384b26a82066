"""An image's answer never depends on the images that callers send at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from structlog.testing import capture_logs

from schemas.errors import InferenceFailed
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.core.serving.checks.independence import row_dependence
from service.core.serving.kinds.images import ImageKind
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.dependent_graphs import (
    centred_on_batch,
    in_training_mode,
    reshaped_to_one_row,
    summed_over_rows,
    with_dropout,
    with_dropout_mask,
    with_late_dropout,
)
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import (
    SIDE,
    colour_graph,
    colour_manifest,
    image_limits,
    served,
    write_model,
)

GREY = (128, 128, 128)
PHOTOS = [plain(colour) for colour in (RED, GREEN, BLUE, GREY)]
BATCHES = RunSettings(threads_alone=1, max_batch_size=4, max_queue_delay_ms=50)
DEPENDENT = {
    "statistics of the batch": centred_on_batch,
    "one row baked in": reshaped_to_one_row,
    "one row for all": summed_over_rows,
}
Scores = list[dict[str, float]]


async def scores(folder: Path, run: RunSettings, *, together: bool) -> tuple[Scores, int]:
    """The scores of ``PHOTOS`` by label, and the number of runs."""
    async with served(folder, run=run) as model:

        async def ask(photo: bytes) -> dict[str, float]:
            answer = await model.classify(photo, 3, time.monotonic() + 30, ANYONE)
            return {one.label: one.score for one in answer.predictions}

        if together:
            found = list(await asyncio.gather(*map(ask, PHOTOS)))
        else:
            found = [await ask(photo) for photo in PHOTOS]
        return found, model.statistics.execution_count


def fixed(batch: int) -> dict[str, object]:
    return {**dict(colour_manifest(b"")["input"]), "batch": batch}  # type: ignore[call-overload]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", DEPENDENT)
async def test_dependent_rows_run_one_by_one_with_a_warning(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path, DEPENDENT[kind]())
    alone, _ = await scores(folder, RunSettings(threads_alone=1), together=False)
    with capture_logs() as log:
        together, runs = await scores(folder, BATCHES, together=True)
    assert together == alone
    assert runs == len(PHOTOS)
    (event,) = log
    assert (event["event"], event["log_level"]) == ("images run one by one", "warning")
    assert (event["model"], event["version"]) == ("colours", 1)
    assert event["reason"]
    assert capfd.readouterr().err == "", "ONNX Runtime prints nothing of its own"


@pytest.mark.anyio
async def test_model_with_independent_rows_still_batches(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    alone, _ = await scores(folder, RunSettings(threads_alone=1), together=False)
    with capture_logs() as log:
        together, runs = await scores(folder, BATCHES, together=True)
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert runs < len(PHOTOS)
    assert not log


@pytest.mark.anyio
async def test_fixed_batch_with_dependent_rows_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, centred_on_batch(4), input=fixed(4))
    with pytest.raises(ModelRefused, match=r"input\.batch: is 4, but .* depends on the others"):
        await scores(folder, RunSettings(threads_alone=1), together=False)


@pytest.mark.anyio
@pytest.mark.parametrize("run", [BATCHES, RunSettings(threads_alone=1)])
@pytest.mark.parametrize(
    "graph", [with_dropout, with_late_dropout, with_dropout_mask, in_training_mode]
)
async def test_model_that_answers_differently_each_time_is_refused(
    tmp_path: Path, run: RunSettings, graph: Callable[[], onnx.ModelProto]
) -> None:
    folder = write_model(tmp_path, graph())
    with pytest.raises(ModelRefused, match="answers the same image differently each time"):
        await scores(folder, run, together=False)


@pytest.mark.parametrize("limit", [2, 4, 16, 1024])
@pytest.mark.parametrize("kind", DEPENDENT)
def test_dependence_is_found_at_every_limit(tmp_path: Path, kind: str, limit: int) -> None:
    assert dependence(tmp_path, DEPENDENT[kind](), limit)


@pytest.mark.parametrize("limit", [2, 5, 16, 1024])
def test_independent_rows_pass_at_every_limit(tmp_path: Path, limit: int) -> None:
    assert dependence(tmp_path, colour_graph(), limit) is None


def test_graph_that_gives_too_few_rows_fails_instead_of_answering(tmp_path: Path) -> None:
    folder = write_model(tmp_path, summed_over_rows())
    engine = OnnxEngine(folder / "model.onnx", read_manifest(folder))
    with pytest.raises(InferenceFailed) as caught:
        engine.run(np.zeros((3, 3, SIDE, SIDE), np.float32))
    assert str(caught.value.__cause__) == "the graph gives 1 rows for 3 images"


def dependence(folder: Path, graph: onnx.ModelProto, limit: int) -> str | None:
    version = write_model(folder, graph)
    manifest = read_manifest(version)
    engine = OnnxEngine(version / "model.onnx", manifest)
    spec = manifest.image_input
    kind = ImageKind(spec, Preprocessor(spec, image_limits()))
    return row_dependence(engine, kind, limit)
