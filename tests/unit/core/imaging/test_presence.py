"""Multi-label models: scores that are independent, and the labels that reach their thresholds."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from observability.metrics.metrics import Metrics
from schemas.classify import Classification
from schemas.manifest.model_output import OutputSpec
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.presence import Presence
from service.core.repository.repository import ModelRefused
from service.core.serving.queries.presenting import info_of
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import (
    LABELS,
    colour_graph,
    served,
    write_model,
    write_multi_label,
)

YELLOW, BLACK, WHITE = (255, 255, 0), (0, 0, 0), (255, 255, 255)


def presence(*thresholds: float) -> Presence:
    return Presence(OutputSpec(name="x", kind="sigmoid", thresholds=thresholds), LABELS)


def scores(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    ("thresholds", "given", "expected"),
    [
        ((), (0.5, 0.49, 0.9), [2, 0]),
        ((0.7,), (0.7, 0.69, 0.71), [2, 0]),
        ((0.9, 0.1, 0.5), (0.8, 0.2, 0.3), [1]),
        ((0.0,), (0.0, 0.0, 0.0), [0, 1, 2]),
        ((1.0,), (0.999, 0.5, 0.0), []),
    ],
)
def test_labels_reaching_their_threshold_are_present(
    thresholds: tuple[float, ...], given: tuple[float, ...], expected: list[int]
) -> None:
    assert presence(*thresholds).present(scores(*given)) == expected


def test_thresholds_not_matching_the_labels_are_refused() -> None:
    with pytest.raises(ManifestMismatch, match=r"output\.thresholds: has 2 numbers; 3 labels"):
        presence(0.1, 0.2)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("colour", "present"),
    [(RED, ["red"]), (YELLOW, ["red", "green"]), (WHITE, list(LABELS)), (BLACK, [])],
)
async def test_answer_lists_all_present_labels(
    tmp_path: Path, colour: tuple[int, ...], present: list[str]
) -> None:
    metrics = Metrics()
    async with served(write_multi_label(tmp_path, {}), metrics=metrics) as model:
        answer = await model.classify(plain(colour), 1, time.monotonic() + 30, ANYONE)
        info = info_of(model, default=True)
    assert answer.labels_present == present
    assert answer.summary is None
    assert answer.abstained == (present == [])
    assert len(answer.predictions) == 1
    assert answer.predictions[0].score == pytest.approx(0.9933 if present else 0.0067, abs=1e-3)
    Classification.model_validate(asdict(answer))
    count = metrics.registry.get_sample_value("potoo_abstentions_total", {"model": "colours"})
    assert count == int(answer.abstained)
    assert info.output.kind == "sigmoid"


@pytest.mark.anyio
async def test_a_dropped_class_is_never_present(tmp_path: Path) -> None:
    folder = write_multi_label(tmp_path, {"label_offset": 1}, labels=["green", "blue"])
    async with served(folder) as model:
        answer = await model.classify(plain(YELLOW), 5, time.monotonic() + 30, ANYONE)
    assert answer.labels_present == ["green"]
    assert [one.index for one in answer.predictions] == [1, 2]


@pytest.mark.anyio
async def test_single_label_models_have_no_labels_present(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        answer = await model.classify(plain(RED), 1, time.monotonic() + 30, ANYONE)
    assert answer.labels_present is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("output", "changes", "says"),
    [
        ({}, {"abstain_below": 0.5}, "abstain_below needs mutually exclusive classes"),
        ({}, {"groups": {"red": "warm"}}, "groups needs mutually exclusive classes"),
        ({}, {"group_thresholds": [0.5]}, "group_thresholds needs mutually exclusive classes"),
        ({}, {"temperature": 2}, "temperature needs output.kind logits"),
        ({"thresholds": [2]}, {}, "thresholds"),
        ({"kind": "logits", "thresholds": [0.5]}, {}, "kind sigmoid"),
        ({"thresholds": [0.5] * 2}, {}, "2 numbers"),
    ],
)
async def test_multi_label_manifest_with_exclusive_fields_is_refused(
    tmp_path: Path, output: dict[str, object], changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ModelRefused, match=says):
        async with served(write_multi_label(tmp_path, output, **changes)):
            pass


@pytest.mark.anyio
async def test_logits_declared_as_sigmoid_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, output={"name": "logits", "kind": "sigmoid"}, abstain_below=0)
    with pytest.raises(ModelRefused, match=r"output\.kind: is sigmoid, .* not 0\.\.1"):
        async with served(folder):
            pass


@pytest.mark.anyio
async def test_scores_above_one_for_bright_images_are_refused(tmp_path: Path) -> None:
    """Noise alone would not detect it: its mean is 127."""
    graph = colour_graph()
    graph.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.array([1 / 200], np.float32), "ten")
    )
    folder = write_model(
        tmp_path, graph, output={"name": "logits", "kind": "sigmoid"}, abstain_below=0
    )
    with pytest.raises(ModelRefused, match="is sigmoid"):
        async with served(folder):
            pass
