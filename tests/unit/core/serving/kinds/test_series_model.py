"""A model of windows of samples: answers, refusals, checks at load, statistics."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from observability.metrics.metrics import Metrics
from schemas.errors import InvalidTensor, Unsupported
from schemas.http.inference import Datatype
from schemas.manifest.series import SeriesSpec
from service.core.imaging.answer import LabelledAnswer
from service.core.repository.repository import ModelRefused
from service.core.series.preprocessing import NotFinite
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.serving.queries.description import config, metadata
from service.core.serving.queries.presenting import info_of, summary_of
from service.core.serving.registry import Registry
from service.core.settings import RunSettings
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import Tensor, of_bytes
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import served, write_model
from tests.support.sensors.tiny_series import (
    LABELS,
    LENGTH,
    loudest_graph,
    normalised,
    series_input,
    window,
    write_series_model,
)

pytestmark = pytest.mark.anyio
FOUR = RunSettings(threads_alone=1, max_batch_size=4)


def soon() -> float:
    return time.monotonic() + 30


def shares_of(samples_LC: NDArray[np.float32]) -> NDArray[np.float64]:
    """The model's probabilities, computed by hand."""
    logits = normalised(samples_LC).mean(1, dtype=np.float64)
    raised = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares


async def ask(model: Model, samples_LC: NDArray[np.float32], k: int = 3) -> LabelledAnswer:
    return await model.classify_series(samples_LC, k, soon(), ANYONE)


async def test_answer_holds_labels_scores_and_timing(tmp_path: Path) -> None:
    samples = window()
    shares = shares_of(samples)
    async with served(write_series_model(tmp_path)) as model:
        answer = await ask(model, samples)
    order = np.argsort(-shares).tolist()
    assert [one.index for one in answer.predictions] == order
    assert [one.label for one in answer.predictions] == [LABELS[index] for index in order]
    scores = [one.score for one in answer.predictions]
    assert scores == pytest.approx(shares[order].tolist(), abs=1e-5)
    assert answer.summary is not None
    assert answer.summary.label == LABELS[order[0]]
    assert (answer.labels_present, answer.abstained, answer.calibrated) == (None, False, False)
    timing = answer.timing
    assert 0 < timing.decode_ms <= timing.total_ms
    assert set(asdict(answer)) == {
        *("summary", "predictions", "labels_present", "abstained", "calibrated", "timing")
    }


async def test_windows_share_batches_and_keep_their_answers(tmp_path: Path) -> None:
    windows = [window(seed) for seed in range(12)]
    async with served(write_series_model(tmp_path), run=FOUR) as model:
        alone = [await ask(model, one) for one in windows]
        executions = model.statistics.execution_count
        together = await asyncio.gather(*(ask(model, one) for one in windows))
        assert model.statistics.execution_count - executions < len(windows)
    for one, other in zip(alone, together, strict=True):
        assert [each.score for each in one.predictions] == pytest.approx(
            [each.score for each in other.predictions], abs=1e-6
        )


async def test_graph_of_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    folder = write_series_model(tmp_path, loudest_graph(batch=4), input=series_input(batch=4))
    async with served(folder) as model:
        found = await asyncio.gather(*(ask(model, window(seed)) for seed in range(6)))
    for seed, answer in enumerate(found):
        assert answer.predictions[0].index == shares_of(window(seed)).argmax()


async def test_model_abstains_and_counts(tmp_path: Path) -> None:
    metrics = Metrics()
    async with served(write_series_model(tmp_path, abstain_below=1), metrics=metrics) as model:
        answer = await ask(model, window())
        found = model.statistics
        assert (found.inference_count, found.success.count, found.fail.count) == (1, 1, 0)
        with pytest.raises(InvalidTensor):
            await ask(model, window()[:-1])
        assert (found.inference_count, found.fail.count) == (1, 1)
    assert (answer.summary, answer.abstained) == (None, True)
    text = metrics.exposition("")[0].decode()
    assert 'potoo_abstentions_total{model="loudest"} 1.0' in text
    assert 'potoo_predictions_total{model="loudest",protocol="test"} 1.0' in text
    assert 'potoo_stage_duration_seconds_count{model="loudest",stage="preprocess"} 1.0' in text
    assert 'potoo_stage_duration_seconds_count{model="loudest",stage="decode"} 0.0' in text


async def test_bad_windows_are_refused_and_harm_no_others(tmp_path: Path) -> None:
    bad = window()
    bad[2, 1] = np.nan
    async with served(write_series_model(tmp_path), run=FOUR) as model:
        found = await asyncio.gather(
            ask(model, window()), ask(model, bad), ask(model, window()), return_exceptions=True
        )
    assert isinstance(found[1], NotFinite)
    assert isinstance(found[0], LabelledAnswer)
    assert isinstance(found[2], LabelledAnswer)


async def test_images_are_refused_by_what_the_model_takes(tmp_path: Path) -> None:
    takes = "The model takes windows of 8 samples of 3 channels, not images."
    photo = plain(RED)
    requests = [
        InferRequest((of_bytes("samples", [photo], (1,)),)),
        InferRequest(raw=photo),
    ]
    async with served(write_series_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match=takes):
            await model.classify(photo, 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match=f"Image 0: {takes}"):
            await model.classify_all([photo], 1, soon(), ANYONE, most=4)
        for request in requests:
            with pytest.raises(Unsupported, match=takes):
                await model.infer(request, soon(), ANYONE, most=4)


async def test_windows_are_refused_by_models_of_images(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match="takes images, not windows of samples"):
            await ask(model, window())
        assert model.statistics.fail.count == 1


async def test_raw_inference_takes_the_tensor_of_the_graph(tmp_path: Path) -> None:
    tensors = np.stack([normalised(window(seed)) for seed in range(3)])
    async with served(write_series_model(tmp_path)) as model:
        request = InferRequest((Tensor("samples", Datatype.FP32, tensors),))
        found = await model.infer(request, soon(), ANYONE, most=4)
        one = await model.infer(InferRequest(raw=tensors[0].tobytes()), soon(), ANYONE, most=4)
        for shape in ((1, LENGTH, 3), (3, LENGTH), (1, 1, 3, LENGTH)):
            wrong = Tensor("samples", Datatype.FP32, np.zeros(shape, np.float32))
            with pytest.raises(InvalidTensor, match=r"is FP32 of shape \['N', 3, 8\], not FP32"):
                await model.infer(InferRequest((wrong,)), soon(), ANYONE, most=4)
        with pytest.raises(InvalidTensor, match=r"96 bytes \(FP32 of shape \[1, 3, 8\]\); this"):
            await model.infer(InferRequest(raw=b"abc"), soon(), ANYONE, most=4)
    assert found.outputs[0].array == pytest.approx(tensors.mean(2), abs=1e-5)
    assert np.array_equal(one.outputs[0].array[0], found.outputs[0].array[0])


async def test_descriptions_name_the_window(tmp_path: Path) -> None:
    async with served(write_series_model(tmp_path)) as model:
        (tensor,) = metadata(model).inputs
        assert (tensor.name, tensor.datatype, tensor.shape) == ("samples", "FP32", [-1, 3, LENGTH])
        (given,) = config(model, 4).input
        assert (given.format, given.dims) == ("FORMAT_NONE", [3, LENGTH])
        shown = info_of(model, default=False).model_dump(mode="json")
        assert summary_of(model, default=False).input_kind == "series"
    assert (shown["input_kind"], shown["input"]["kind"]) == ("series", "series")
    assert SeriesSpec.model_validate(shown["input"]) == model.manifest.series_input


async def test_classifier_answers_for_windows_and_names_their_shape(tmp_path: Path) -> None:
    async with (
        served(write_series_model(tmp_path)) as series,
        served(write_model(tmp_path)) as images,
    ):
        registry = Registry({"loudest": series, "colours": images}, None)
        classifier = Classifier(registry, default_timeout=30)
        ticket = classifier.issue_ticket("loudest", None, ANYONE)
        ref, answer = await classifier.classify_series(window(), ticket, top_k=2)
        assert (ref.name, len(answer.predictions)) == ("loudest", 2)
        assert classifier.series_spec("loudest").shape == (3, LENGTH)
        with pytest.raises(Unsupported):
            classifier.series_spec("colours")
        ticket = classifier.issue_ticket("colours", None, ANYONE)
        with pytest.raises(Unsupported):
            await classifier.classify_series(window(), ticket, top_k=2)


async def test_windows_may_have_numbers_without_labels(tmp_path: Path) -> None:
    output = {"name": "logits", "kind": "values"}
    tensor = Tensor("samples", Datatype.FP32, normalised(window())[np.newaxis])
    async with served(write_series_model(tmp_path, output=output, labels=[])) as model:
        with pytest.raises(Unsupported, match="gives numbers, not labels"):
            await ask(model, window())
        with pytest.raises(Unsupported, match="gives numbers, not labels"):
            await model.classify_series_each([window()], 1, soon(), [ANYONE])
        found = await model.infer(InferRequest((tensor,)), soon(), ANYONE, most=4)
        classifier = Classifier(Registry({"loudest": model}, None), default_timeout=30)
        with pytest.raises(Unsupported, match="gives numbers, not labels"):
            classifier.series_spec("loudest")
    assert found.outputs[0].array[0] == pytest.approx(tensor.array[0].mean(1), abs=1e-5)


async def test_canary_passes(tmp_path: Path) -> None:
    async with served(write_series_model(tmp_path)) as model:
        assert await model.canary(30)


async def test_multi_label_answers_are_the_labels_present(tmp_path: Path) -> None:
    graph = loudest_graph()
    graph.graph.node.append(helper.make_node("Sigmoid", ["logits"], ["scores"]))
    graph.graph.output[0].name = "scores"
    folder = write_series_model(tmp_path, graph, output={"name": "scores", "kind": "sigmoid"})
    means = normalised(window()).mean(1)
    async with served(folder) as model:
        answer = await ask(model, window())
    assert answer.summary is None
    assert sorted(answer.labels_present or ()) == sorted(
        label for label, mean in zip(LABELS, means, strict=True) if mean >= 0
    )


# Checks at load


def golden(folder: Path, samples_LC: NDArray[Any]) -> None:
    (folder / "golden").mkdir()
    np.save(folder / "golden/noise.npy", samples_LC)


def expected(score: float) -> list[dict[str, object]]:
    return [{"file": "noise.npy", "predictions": [{"index": 0, "score": score}]}]


async def test_golden_windows_are_checked(tmp_path: Path) -> None:
    score = float(shares_of(window())[0])
    golden(write_series_model(tmp_path, golden=expected(score)), window())
    async with served(tmp_path / "loudest/1") as model:
        assert model.is_ready


@pytest.mark.parametrize(
    ("samples", "offset", "reason"),
    [
        (window(), 0.5, r"golden\[0\]: noise.npy: class 0 scores"),
        (window()[1:], 0.0, r"golden\[0\]: noise.npy: A window is float32 of shape \[8, 3\]"),
        (window().astype(np.float64), 0.0, "does not hold one array of float32"),
        (None, 0.0, "noise.npy cannot be read"),
    ],
)
async def test_wrong_golden_windows_refuse_the_model(
    tmp_path: Path, samples: NDArray[Any] | None, offset: float, reason: str
) -> None:
    score = abs(float(shares_of(window())[0]) - offset)
    folder = write_series_model(tmp_path, golden=expected(score))
    if samples is not None:
        golden(folder, samples)
    with pytest.raises(ModelRefused, match=reason):
        async with served(folder):
            pass


def image_graph() -> onnx.ModelProto:
    graph = loudest_graph()
    shape = [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["n", 3, 8, 8])]
    graph.graph.input.pop()
    graph.graph.input.extend(shape)
    return graph


def of_type(kind: int) -> onnx.ModelProto:
    graph = loudest_graph()
    graph.graph.input[0].type.tensor_type.elem_type = kind
    graph.graph.output[0].type.tensor_type.elem_type = kind
    return graph


@pytest.mark.parametrize(
    ("graph", "changes", "reason"),
    [
        (None, {"length": 9}, r"input.length: is 9, but the graph takes \[3, 8\]"),
        (None, {"channels": 2, "mean": [0], "std": [1]}, "input.channels: is 2, but the graph"),
        (None, {"name": "x"}, "input.name: is 'x', but the graph takes 'samples'"),
        (loudest_graph(batch=2), {}, "input.batch: is dynamic, but the graph's is 2"),
        (image_graph(), {}, r"input.kind: has 3 axes, but the graph takes \['n', 3, 8, 8\]"),
        (of_type(TensorProto.DOUBLE), {}, r"input.dtype: is float32, but .* tensor\(double\)"),
    ],
)
async def test_manifest_must_describe_the_graph(
    tmp_path: Path, graph: onnx.ModelProto | None, changes: dict[str, object], reason: str
) -> None:
    folder = write_series_model(tmp_path, graph, input=series_input(**changes))
    with pytest.raises(ModelRefused, match=reason):
        async with served(folder):
            pass


async def test_windows_that_depend_on_each_other_run_one_by_one(tmp_path: Path) -> None:
    graph = loudest_graph()
    graph.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["logits"], ["all"], keepdims=1),
            helper.make_node("Sub", ["logits", "all"], ["centred"]),
        ]
    )
    graph.graph.output[0].name = "centred"
    output = {"name": "centred", "kind": "logits"}
    async with served(write_series_model(tmp_path, graph, output=output), run=FOUR) as model:
        assert model.policy.max_batch_size == 1
