"""A model of text: answers, embeddings, padding, refusals, canaries, descriptions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs

from observability.metrics.metrics import Metrics
from observability.request import enter, leave
from observability.tracing.span import Trace
from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidRequest,
    InvalidTensor,
    Unsupported,
)
from schemas.http.inference import Datatype
from schemas.manifest.text import TextSpec
from service.core.serving.classifier import Classifier
from service.core.serving.kinds.text import TextKind
from service.core.serving.model import Model
from service.core.serving.queries.description import config, metadata
from service.core.serving.queries.presenting import summary_of
from service.core.serving.registry import Registry
from service.core.settings import RunSettings
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import Tensor, of_bytes
from service.core.text.preprocessing import InvalidText, TextTooLong, tensor_of
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.text.tiny_text import (
    LABELS,
    MAX_TOKENS,
    WordTokenizer,
    mean_graph,
    mean_of,
    open_words,
    text_input,
    write_embedder,
    write_text_model,
)
from tests.support.models.tiny_model import served, write_model
from tests.support.models.tiny_numeric import rows, write_scaler
from tests.support.sensors.tiny_series import window

pytestmark = pytest.mark.anyio
TEXTS = ["good", "very very bad", "plain", "good bad plain very", "bad bad", "very good plain bad"]


def soon() -> float:
    return time.monotonic() + 30


@asynccontextmanager
async def opened(
    folder: Path, metrics: Metrics | None = None, run: RunSettings | None = None
) -> AsyncIterator[Model]:
    async with served(folder, metrics=metrics, run=run, tokenizers=open_words) as model:
        yield model


async def embedded(model: Model, *texts: str) -> list[list[float]]:
    found = await model.embed(texts, soon(), ANYONE, most=16)
    assert found.dtype == np.float32
    answer: list[list[float]] = found.tolist()
    return answer


async def test_answer_holds_labels_scores_and_timing(tmp_path: Path) -> None:
    async with opened(write_text_model(tmp_path)) as model:
        answer = await model.classify_text("very good", 2, soon(), ANYONE)
    raised = np.exp(mean_of("very good"))
    best, other = answer.predictions
    assert (best.label, best.index, other.label) == (LABELS[0], 0, LABELS[1])
    assert best.score == pytest.approx(raised[0] / raised.sum(), abs=1e-5)
    assert (answer.labels_present, answer.abstained, answer.calibrated) == (None, False, False)
    assert 0 < answer.timing.decode_ms <= answer.timing.total_ms


async def test_texts_share_batches_and_padding_changes_nothing(tmp_path: Path) -> None:
    async with opened(write_embedder(tmp_path)) as model:
        before = model.statistics.execution_count
        found = await embedded(model, *TEXTS)
        assert model.statistics.execution_count - before < len(TEXTS)
        alone = [(await embedded(model, text))[0] for text in TEXTS]
    for text, one, together in zip(TEXTS, alone, found, strict=True):
        assert one == pytest.approx(mean_of(text).tolist(), abs=1e-6)
        assert together == pytest.approx(one, abs=1e-6)


async def test_graph_without_a_mask_gets_no_padding(tmp_path: Path) -> None:
    folder = write_embedder(
        tmp_path, mean_graph(has_mask=False), input=text_input(mask=None, padding=0)
    )
    async with opened(folder) as model:
        found = await embedded(model, *TEXTS)
    assert found == [pytest.approx(mean_of(text).tolist(), abs=1e-6) for text in TEXTS]


async def test_graph_that_ignores_its_mask_runs_texts_one_by_one(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path, mean_graph(heeds_mask=False))
    with capture_logs() as log:
        async with opened(folder) as model:
            found = await embedded(model, *TEXTS)
    assert found == [pytest.approx(mean_of(text).tolist(), abs=1e-6) for text in TEXTS]
    assert [event["event"] for event in log] == ["texts run one by one"]


@pytest.mark.parametrize(
    ("mask", "lengths", "parts"),
    [
        ("mask", [3, 4, 3, 9], [[0, 1, 2], [3]]),
        (None, [3, 4, 3, 9], [[0, 2], [1], [3]]),
        ("mask", [300, 257, 400, 500], [[0], [1], [2], [3]]),
        ("mask", [128, 100, 120, 65, 128], [[0, 1, 2, 3], [4]]),
    ],
)
def test_texts_of_similar_length_run_together_up_to_a_number_of_tokens(
    mask: str | None, lengths: list[int], parts: list[list[int]]
) -> None:
    spec = TextSpec.model_validate(text_input(mask=mask, max_tokens=512, padding=3))
    kind = TextKind(spec, WordTokenizer(512))
    found = kind.stack([tensor_of([1] * length, spec) for length in lengths])
    assert [part.rows for part in found] == parts
    for part in found:
        longest = max(lengths[row] for row in part.rows)
        assert part.images.shape == (len(part.rows), len(spec.inputs), longest)
        for one_PL, row in zip(part.images, part.rows, strict=True):
            rest = longest - lengths[row]
            assert one_PL[0].tolist() == [1] * lengths[row] + [3] * rest
            assert one_PL[1:].tolist() == [[1] * lengths[row] + [0] * rest] * (len(one_PL) - 1)


async def test_graph_may_take_token_types(tmp_path: Path) -> None:
    graph = mean_graph(has_types=True)
    nodes = [
        helper.make_node("Cast", ["types"], ["kinds"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["kinds", "middle"], ["none"], keepdims=1),
        helper.make_node("Add", ["mean", "none"], ["numbers"]),
    ]
    graph.graph.node.extend(nodes)
    graph.graph.output[0].name = "numbers"
    folder = write_embedder(
        tmp_path,
        graph,
        input=text_input(types="types"),
        output={"name": "numbers", "kind": "values"},
    )
    async with opened(folder) as model:
        assert await embedded(model, "good") == [mean_of("good").tolist()]


async def test_text_is_cut_after_the_longest_input(tmp_path: Path) -> None:
    text = "good " * MAX_TOKENS + "bad bad bad"
    async with opened(write_embedder(tmp_path)) as model:
        assert await embedded(model, text) == [mean_of("good").tolist()]


async def test_text_is_put_in_normal_form_and_lower_case(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path, input=text_input(form="NFKC", lower_case=True))
    async with opened(folder) as model:
        assert await embedded(model, "GOOD", "\N{FULLWIDTH LATIN SMALL LETTER B}ad") == [
            mean_of("good").tolist(),
            mean_of("bad").tolist(),
        ]


async def test_bad_texts_are_refused_with_their_number_and_harm_no_others(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path, input=text_input(max_characters=12))
    async with opened(folder) as model:
        with pytest.raises(TextTooLong, match="Text 1 has 13 characters; the model takes 12 at"):
            await embedded(model, "good", "b" * 13)
        with pytest.raises(InvalidText, match="Text 0 has a lone surrogate at 1, which is no"):
            await embedded(model, "a\ud800b")
        with pytest.raises(InvalidText, match=r"Text 1: The text has no tokens\."):
            await embedded(model, "good", " ")
        with pytest.raises(InvalidRequest, match="1 to 2 texts are taken in one request, not 3"):
            await model.embed(["good"] * 3, soon(), ANYONE, most=2)
        with pytest.raises(InvalidRequest, match="not 0"):
            await embedded(model)
        with pytest.raises(DeadlineExceeded):
            await model.embed(["good"], time.monotonic() - 1, ANYONE, most=2)
        found = await asyncio.gather(
            embedded(model, "good"), embedded(model, ""), return_exceptions=True
        )
        assert model.statistics.fail.count == 7
    assert found[0] == [mean_of("good").tolist()]
    assert isinstance(found[1], InvalidText)


async def test_messages_for_a_single_text_have_no_number(tmp_path: Path) -> None:
    folder = write_text_model(tmp_path, input=text_input(max_characters=12))
    async with opened(folder) as model:
        with pytest.raises(TextTooLong, match="The text has 13 characters"):
            await model.classify_text("b" * 13, 1, soon(), ANYONE)
        with pytest.raises(InvalidText, match=r"^The text has no tokens\.$"):
            await model.classify_text("", 1, soon(), ANYONE)


async def test_every_other_item_is_refused_by_what_the_model_takes(tmp_path: Path) -> None:
    photo = plain(RED)
    async with opened(write_text_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match=r"^The model takes text, not images\.$"):
            await model.classify(photo, 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match="takes text, not windows of samples"):
            await model.classify_series(window(), 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match="takes text, not rows of numbers"):
            await model.transform(rows(1), soon(), ANYONE)
        for request in (
            InferRequest((of_bytes("text", [photo], (1,)),)),
            InferRequest(raw=photo),
        ):
            with pytest.raises(Unsupported, match="takes text, not images"):
                await model.infer(request, soon(), ANYONE, most=4)


async def test_texts_are_refused_by_other_models_and_other_outputs(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match="takes images, not text"):
            await model.classify_text("good", 1, soon(), ANYONE)
        with pytest.raises(Unsupported, match="takes images, not text"):
            await embedded(model, "good")
        with pytest.raises(Unsupported, match="takes images, not text"):
            await model.encode_texts(["good"], soon(), ANYONE)
    async with served(write_scaler(tmp_path)) as model:
        with pytest.raises(Unsupported, match="takes rows of 3 numbers, not text"):
            await embedded(model, "good")
    async with opened(write_text_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match=r"gives labels, not numbers \(output.kind is logi"):
            await embedded(model, "good")
    async with opened(write_embedder(tmp_path)) as model:
        with pytest.raises(Unsupported, match=r"gives numbers, not labels \(output.kind is val"):
            await model.classify_text("good", 1, soon(), ANYONE)


async def test_images_may_have_numbers_without_labels(tmp_path: Path) -> None:
    output = {"name": "logits", "kind": "values"}
    folder = write_model(tmp_path, output=output, labels=[], abstain_below=0)
    async with served(folder) as model:
        with pytest.raises(Unsupported, match="gives numbers, not labels"):
            await model.classify(plain(RED), 1, soon(), ANYONE)
        found = await model.infer(InferRequest(raw=plain(RED)), soon(), ANYONE, most=4)
        assert found.outputs[0].array.tolist() == [pytest.approx([10, 0, 0], abs=1e-4)]


async def test_raw_inference_takes_text_in_utf_8(tmp_path: Path) -> None:
    async with opened(write_embedder(tmp_path)) as model:
        request = InferRequest((of_bytes("text", [b"good", b"very bad"], (2, 1)),))
        found = await model.infer(request, soon(), ANYONE, most=4)
        one = await model.infer(InferRequest(raw=b"good"), soon(), ANYONE, most=4)
        request = InferRequest((of_bytes("text", [b"good", b"b\xe4d"], (2,)),))
        with pytest.raises(InvalidTensor, match=r"Text 1 is not UTF-8\."):
            await model.infer(request, soon(), ANYONE, most=4)
        tensor = Tensor("text", Datatype.INT64, np.zeros((1, 4), np.int64))
        with pytest.raises(InvalidTensor, match=r"is BYTES of shape \['N'\] with text in UTF-8"):
            await model.infer(InferRequest((tensor,)), soon(), ANYONE, most=4)
        request = InferRequest((of_bytes("ids", [b"good"], (1,)),))
        with pytest.raises(InvalidTensor, match="There is no input 'ids'; there is 'text'"):
            await model.infer(request, soon(), ANYONE, most=4)
    expected = [mean_of("good").tolist(), mean_of("very bad").tolist()]
    assert found.outputs[0].array.tolist() == expected
    assert one.outputs[0].array.tolist() == expected[:1]


async def test_descriptions_name_the_text(tmp_path: Path) -> None:
    async with opened(write_text_model(tmp_path)) as model:
        (tensor,) = metadata(model).inputs
        assert (tensor.name, tensor.datatype, tensor.shape) == ("text", "BYTES", [-1])
        (given,) = config(model, 4).input
        assert (given.data_type, given.format, given.dims) == ("TYPE_STRING", "FORMAT_NONE", [1])
        assert summary_of(model, default=False).input_kind == "text"


async def test_counts_and_stages_are_those_of_texts(tmp_path: Path) -> None:
    metrics = Metrics()
    folder = write_text_model(tmp_path, abstain_below=1)
    async with opened(folder, metrics) as model:
        answer = await model.classify_text("good", 1, soon(), ANYONE)
    assert (answer.summary, answer.abstained) == (None, True)
    text = metrics.exposition("")[0].decode()
    assert 'potoo_abstentions_total{model="mood"} 1.0' in text
    assert 'potoo_predictions_total{model="mood",protocol="test"} 1.0' in text
    assert 'potoo_stage_duration_seconds_count{model="mood",stage="preprocess"} 1.0' in text


async def test_traced_texts_have_the_stages_of_images(tmp_path: Path) -> None:
    trace = Trace("", lambda _: None)
    trace.sample()
    async with opened(write_embedder(tmp_path)) as model:
        token = enter("a request", trace)
        try:
            await embedded(model, "good", "bad")
            with pytest.raises(InvalidText):
                await embedded(model, "")
        finally:
            leave(token)
    found, refused = trace.children
    assert (found.name, found.error) == ("embed", "")
    assert found.attributes == {"potoo.model.name": "embedder", "potoo.model.version": 1}
    for item in found.children:
        stages = [child.name for child in item.children if child.name != "batching"]
        assert stages == ["queue", "preprocess", "inference", "postprocess"]
    assert [(child.name, child.error) for child in refused.children] == [
        ("queue", ""),
        ("preprocess", "invalid_request"),
    ]


async def test_classifier_has_calls_for_text(tmp_path: Path) -> None:
    async with (
        opened(write_text_model(tmp_path)) as mood,
        opened(write_embedder(tmp_path)) as embedder,
    ):
        registry = Registry({"mood": mood, "embedder": embedder}, None)
        classifier = Classifier(registry, default_timeout=30)
        ticket = classifier.issue_ticket("mood", None, ANYONE)
        ref, answer = await classifier.classify_text("bad", ticket, top_k=1)
        assert (ref.name, answer.predictions[0].label) == ("mood", LABELS[1])
        found = await classifier.encode_texts(["very bad", "good"], ticket)
        assert (found.model.name, found.spec) == ("mood", mood.manifest.input)
        assert [one.tokens for one in found.encoded] == [["very", "bad"], ["good"]]
        ticket = classifier.issue_ticket("embedder", None, ANYONE)
        ref, vectors = await classifier.embed(["bad", "good"], ticket)
        assert (ref.name, vectors.tolist()) == (
            "embedder",
            [mean_of("bad").tolist(), mean_of("good").tolist()],
        )
        assert classifier.text_spec("mood").max_tokens == MAX_TOKENS


async def test_tokens_alone_keep_the_deadline(tmp_path: Path) -> None:
    async with opened(write_text_model(tmp_path)) as model:
        with pytest.raises(DeadlineExceeded):
            await model.encode_texts(["good"], time.monotonic() - 1, ANYONE)


async def test_embedding_that_is_not_finite_fails(tmp_path: Path) -> None:
    graph = mean_graph()
    graph.graph.node.append(helper.make_node("Log", ["mean"], ["logs"]))
    graph.graph.output[0].name = "logs"
    folder = write_embedder(tmp_path, graph, output={"name": "logs", "kind": "values"})
    async with opened(folder) as model:
        assert await embedded(model, "plain") == [[0, 0]]
        with pytest.raises(InferenceFailed):
            await embedded(model, "bad")


async def test_canary_passes(tmp_path: Path) -> None:
    async with opened(write_embedder(tmp_path)) as model:
        assert await model.canary(30)
