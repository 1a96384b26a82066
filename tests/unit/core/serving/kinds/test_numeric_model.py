"""A model of rows of numbers: transformed rows, chunks, refusals, canaries, descriptions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from observability.metrics.metrics import Metrics
from schemas.errors import DeadlineExceeded, InvalidTensor, Unsupported
from schemas.http.inference import Datatype
from schemas.models import ModelManifest
from service.core.engine.engine import Images, Outputs
from service.core.engine.pool import WorkerPool
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.serving.classifier import Classifier
from service.core.serving.kinds.numeric import NumericKind
from service.core.serving.model import Model
from service.core.serving.queries.description import config, metadata
from service.core.serving.queries.presenting import info_of, summary_of
from service.core.serving.registry import Registry
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import Tensor, of_bytes
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import served, write_model
from tests.support.models.tiny_numeric import (
    COLUMNS,
    MEAN,
    STD,
    model_of,
    numeric_input,
    rows,
    scaled,
    scaler_graph,
    scaler_manifest,
    write_scaler,
)
from tests.support.sensors.tiny_series import window

pytestmark = pytest.mark.anyio


def soon() -> float:
    return time.monotonic() + 30


async def transform(model: Model, given: NDArray[Any]) -> NDArray[np.float64]:
    return await model.transform(given, soon(), ANYONE)


@pytest.mark.parametrize("count", [0, 1, 8192, 8193, 20_000])
async def test_rows_are_exact_in_float64_whatever_their_number(tmp_path: Path, count: int) -> None:
    given = rows(count)
    async with served(write_scaler(tmp_path)) as model:
        found = await transform(model, given)
    assert found.dtype == np.float64
    assert np.array_equal(found, scaled(given))


async def test_nan_and_infinities_pass_and_stay_in_their_rows(tmp_path: Path) -> None:
    given = rows(3)
    given[1] = [np.nan, np.inf, -np.inf]
    async with served(write_scaler(tmp_path)) as model:
        found = await transform(model, given)
    assert np.array_equal(found, scaled(given), equal_nan=True)


@pytest.mark.parametrize("batch", [1, 4])
async def test_graph_of_a_fixed_batch_takes_any_number_of_rows(tmp_path: Path, batch: int) -> None:
    folder = write_scaler(tmp_path, scaler_graph(batch=batch), input=numeric_input(batch=batch))
    async with served(folder) as model:
        assert np.array_equal(await transform(model, rows(11)), scaled(rows(11)))


async def test_float32_graph_gets_rounded_rows_and_answers_float64(tmp_path: Path) -> None:
    folder = write_scaler(
        tmp_path, scaler_graph(is_double=False), input=numeric_input(dtype="float32")
    )
    given = rows(5)
    given[0, 1] = 1e300
    async with served(folder) as model:
        found = await transform(model, given)
        assert model.output_datatype is Datatype.FP32
    assert found.dtype == np.float64
    with np.errstate(over="ignore"):
        single = given.astype(np.float32)
    expected = (single - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    assert np.array_equal(found, expected.astype(np.float64))


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((2, COLUMNS + 1)),
        np.zeros(COLUMNS),
        np.zeros(()),
        np.zeros((1, 2, COLUMNS)),
        np.zeros((2, COLUMNS), np.int64),
        np.zeros((2, COLUMNS), np.complex128),
    ],
)
async def test_rows_of_another_form_are_refused(tmp_path: Path, given: NDArray[Any]) -> None:
    async with served(write_scaler(tmp_path)) as model:
        with pytest.raises(InvalidTensor, match=r"Rows are float64 of shape \['N', 3\], not"):
            await transform(model, given)
        assert model.statistics.fail.count == 1


async def test_every_other_item_is_refused_by_what_the_model_takes(tmp_path: Path) -> None:
    takes = "The model takes rows of 3 numbers, not "
    async with served(write_scaler(tmp_path)) as model:
        with pytest.raises(Unsupported, match="gives numbers, not labels"):
            await model.classify(plain(RED), 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match=takes + "windows of samples"):
            await model.classify_series(window(), 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match=takes + "text"):
            await model.embed(["good"], soon(), ANYONE, most=4)
        request = InferRequest((of_bytes("rows", [plain(RED)], (1,)),))
        with pytest.raises(Unsupported, match=takes + "images or text"):
            await model.infer(request, soon(), ANYONE, most=4)
        with pytest.raises(Unsupported, match=takes + "images"):
            await model.infer(InferRequest(raw=plain(RED)), soon(), ANYONE, most=4)


async def test_rows_are_refused_by_models_of_images(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match="takes images, not rows of numbers"):
            await transform(model, rows(1))


# Labels of rows


def sorter_graph() -> onnx.ModelProto:
    """Input ``rows`` float32 [N, 3], output ``logits``, the same numbers."""
    return model_of(
        helper.make_graph(
            [helper.make_node("Identity", ["rows"], ["logits"])],
            "sorter",
            [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        )
    )


async def test_rows_with_labels_are_for_raw_inference_alone(tmp_path: Path) -> None:
    folder = write_scaler(
        tmp_path,
        sorter_graph(),
        input=numeric_input(dtype="float32"),
        output={"name": "logits", "kind": "logits"},
        labels=["a", "b", "c"],
    )
    async with served(folder) as model:
        with pytest.raises(Unsupported, match=r"labels, not numbers \(output.kind is logits"):
            await transform(model, rows(1))
        request = InferRequest((Tensor("rows", Datatype.FP64, rows(2)),))
        found = await model.infer(request, soon(), ANYONE, most=4)
    assert found.labels == ("a", "b", "c")
    assert np.array_equal(found.outputs[0].array, rows(2).astype(np.float32))


# Turns and deadlines


class HeldEngine:
    """Passes rows on while its gate is open."""

    def __init__(self) -> None:
        self.max_batch_size, self.takes_pixels, self.output_shape = None, False, (COLUMNS,)
        self.gate = threading.Event()
        self.gate.set()
        self.sizes: list[int] = []
        self.shift = np.zeros(COLUMNS)

    def run(self, images: Images, *, alone: bool = False) -> Outputs:
        del alone
        self.gate.wait(30)
        self.sizes.append(len(images))
        output: Outputs = images * np.array([1e9, 1, 1]) + self.shift
        return output

    def shrink(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


@asynccontextmanager
async def held(policy: BatchPolicy) -> AsyncIterator[tuple[Model, HeldEngine]]:
    manifest = ModelManifest.model_validate(scaler_manifest(b"", input=numeric_input(batch=2)))
    pool, engine = WorkerPool("held", 1), HeldEngine()
    series = Metrics().models.version("scaler", 1, manifest.sha256)
    kind = NumericKind(manifest.numeric_input)
    model = Model(Path("nowhere"), manifest, (), kind, engine, pool, policy, series)
    model.warm_up()
    engine.sizes.clear()
    try:
        yield model, engine
    finally:
        engine.gate.set()
        await model.close()
        pool.close()


async def test_chunks_run_alone_and_in_order() -> None:
    async with held(BatchPolicy(max_batch_size=16)) as (model, engine):
        assert np.array_equal(await transform(model, rows(7)), rows(7) * [1e9, 1, 1])
        assert engine.sizes == [2, 2, 2, 1]


async def test_many_rows_leave_turns_to_other_callers() -> None:
    other, ended = replace(ANYONE, owner="other"), []

    async def ask(model: Model, count: int, name: str) -> None:
        call = other if name == "other" else ANYONE
        await model.transform(rows(count), soon(), call)
        ended.append(name)

    async with held(BatchPolicy()) as (model, _):
        await asyncio.gather(ask(model, 200, "many"), ask(model, 1, "other"))
    assert ended == ["other", "many"]


async def test_deadline_holds_in_the_middle_of_many_rows() -> None:
    async with held(BatchPolicy()) as (model, engine):
        engine.gate.clear()
        with pytest.raises(DeadlineExceeded):
            await model.transform(rows(100), time.monotonic() + 0.05, ANYONE)
        engine.gate.set()
        assert model.statistics.fail.count == 1
        assert len(await transform(model, rows(3))) == 3


async def test_queue_that_holds_one_chunk_is_enough() -> None:
    async with held(BatchPolicy(queue_capacity=1)) as (model, _):
        assert np.array_equal(await transform(model, rows(9)), rows(9) * [1e9, 1, 1])


# Raw inference

WRONG: list[tuple[Datatype, NDArray[Any]]] = [
    (Datatype.FP64, np.zeros((1, 4))),
    (Datatype.FP64, np.zeros(3)),
    (Datatype.FP64, np.zeros(())),
    (Datatype.INT64, np.zeros((1, 3), np.int64)),
]


async def test_raw_inference_takes_both_types_and_answers_the_graphs(tmp_path: Path) -> None:
    given = rows(3)
    async with served(write_scaler(tmp_path)) as model:

        async def infer(request: InferRequest) -> Tensor:
            answer = await model.infer(request, soon(), ANYONE, most=4)
            (output,) = answer.outputs
            return output

        exact = await infer(InferRequest((Tensor("rows", Datatype.FP64, given),)))
        single = given.astype(np.float32)
        rounded = await infer(InferRequest((Tensor("rows", Datatype.FP32, single),)))
        one = await infer(InferRequest(raw=given[0].tobytes()))
        for datatype, array in WRONG:
            wrong = InferRequest((Tensor("rows", datatype, array),))
            with pytest.raises(
                InvalidTensor, match=r"is FP64 of shape \['N', 3\], or FP32 of that"
            ):
                await infer(wrong)
        with pytest.raises(InvalidTensor, match="1 to 4 items are taken in one request, not 5"):
            await infer(InferRequest((Tensor("rows", Datatype.FP64, rows(5)),)))
        with pytest.raises(InvalidTensor, match="not 0"):
            await infer(InferRequest((Tensor("rows", Datatype.FP64, rows(0)),)))
        with pytest.raises(InvalidTensor, match=r"is 24 bytes \(FP64 of shape \[1, 3\]\); this"):
            await infer(InferRequest(raw=b"abc"))
    assert (exact.name, exact.datatype) == ("scaled", Datatype.FP64)
    assert np.array_equal(exact.array, scaled(given))
    assert np.array_equal(rounded.array, scaled(single.astype(np.float64)))
    assert np.array_equal(one.array, scaled(given[:1]))


async def test_counts_are_of_rows(tmp_path: Path) -> None:
    metrics = Metrics()
    async with served(write_scaler(tmp_path), metrics=metrics) as model:
        await transform(model, rows(9000))
        await transform(model, rows(0))
        found = model.statistics
        assert (found.inference_count, found.success.count, found.fail.count) == (9000, 1, 0)
        assert found.execution_count == 2
    text = metrics.exposition("")[0].decode()
    assert 'potoo_predictions_total{model="scaler",protocol="test"} 9000.0' in text
    assert 'potoo_stage_duration_seconds_count{model="scaler",stage="inference"} 2.0' in text


async def test_descriptions_name_the_rows(tmp_path: Path) -> None:
    async with served(write_scaler(tmp_path)) as model:
        found = metadata(model)
        (given,), (answer,) = found.inputs, found.outputs
        assert (given.name, given.datatype, given.shape) == ("rows", "FP64", [-1, 3])
        assert (answer.name, answer.datatype, answer.shape) == ("scaled", "FP64", [-1, 3])
        form = config(model, 4)
        (tensor,), (output,) = form.input, form.output
        assert (tensor.data_type, tensor.format, tensor.dims) == ("TYPE_FP64", "FORMAT_NONE", [3])
        assert (output.data_type, output.dims) == ("TYPE_FP64", [3])
        summary = summary_of(model, default=False)
        assert (summary.input_kind, summary.classes) == ("numeric", 0)
        shown = info_of(model, default=False).model_dump(mode="json")
    assert (shown["input"]["kind"], shown["output"]["kind"]) == ("numeric", "values")


async def test_classifier_transforms_rows_and_names_them(tmp_path: Path) -> None:
    async with served(write_scaler(tmp_path)) as model, served(write_model(tmp_path)) as images:
        registry = Registry({"scaler": model, "colours": images}, None)
        classifier = Classifier(registry, default_timeout=30)
        ref, found = await classifier.transform(
            rows(2), classifier.issue_ticket("scaler", None, ANYONE)
        )
        assert ref.name == "scaler"
        assert np.array_equal(found, scaled(rows(2)))
        assert classifier.numeric_spec("scaler").columns == COLUMNS
        with pytest.raises(Unsupported, match="takes images, not rows"):
            classifier.numeric_spec("colours")


async def test_canary_passes(tmp_path: Path) -> None:
    async with served(write_scaler(tmp_path)) as model:
        assert await model.canary(30)


@pytest.mark.parametrize(("shift", "passes"), [([0.0, 0, 0], True), ([0, 0, 0.1], False)])
async def test_canary_notices_another_answer_in_a_small_column(
    shift: list[float], passes: bool
) -> None:
    async with held(BatchPolicy()) as (model, engine):
        engine.shift = np.array(shift)
        assert await model.canary(30) is passes
