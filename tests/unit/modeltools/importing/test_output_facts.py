"""Detection of the output kind: logits, probabilities or independent scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from service.core.repository.repository import ModelRefused
from service.modeltools.importing.graph_facts import CannotImport
from service.modeltools.importing.output_facts import kind_of, last_operator
from tests.support.models.tiny_model import colour_graph, multi_label_graph
from tests.support.modeltools.import_kit import bring


def rows(*numbers: list[float]) -> list[NDArray[np.float32]]:
    return [np.array(row, np.float32) for row in numbers]


def small_logits() -> onnx.ModelProto:
    """Logits within 0..1 for every correctly preprocessed picture."""
    graph = colour_graph()
    factor = numpy_helper.from_array(np.array([0.9], np.float32), "ten")
    graph.graph.initializer[1].CopyFrom(factor)
    return graph


def clipped() -> onnx.ModelProto:
    """Numbers within 0..1 for any input, without a sigmoid."""
    graph = small_logits()
    graph.graph.node.append(helper.make_node("Clip", ["logits", "zero", "one"], ["scores"]))
    for name, number in (("zero", 0), ("one", 1)):
        bound = numpy_helper.from_array(np.array(number, np.float32), name)
        graph.graph.initializer.append(bound)
    graph.graph.output[0].name = "scores"
    return graph


@pytest.mark.parametrize(
    ("given", "operator", "kind"),
    [
        (rows([0.2, 0.8], [1.0, 0.0]), "", "probabilities"),
        (rows([0.2, 0.8], [0.9, 0.9]), "", "sigmoid"),
        (rows([0.0, 0.0], [1.0, 1.0]), "Sigmoid", "sigmoid"),
        (rows([0.2, 0.7], [0.9, 0.0]), "Softmax", "probabilities"),
        (rows([0.2, 0.8], [0.9, 1.1]), "Sigmoid", "logits"),
        (rows([0.2, 0.8], [-0.1, 0.9]), "", "logits"),
        (rows([2.0, -1.0]), "Gemm", "logits"),
        (rows([float("nan"), 0.5]), "Sigmoid", "logits"),
        (rows([float("nan"), 0.5], [0.1, 0.9]), "", "probabilities"),
    ],
)
def test_output_kind_follows_from_values_and_last_operator(
    given: list[NDArray[np.float32]], operator: str, kind: str
) -> None:
    assert kind_of(given, operator)[0] == kind


def test_last_operator_is_found_behind_reshaping_ones(tmp_path: Path) -> None:
    graph = multi_label_graph()
    graph.graph.node.append(helper.make_node("Identity", ["scores"], ["same"]))
    graph.graph.node.append(helper.make_node("Flatten", ["same"], ["flat"]))
    onnx.save(graph, str(tmp_path / "model.onnx"))
    assert last_operator(tmp_path / "model.onnx", "flat") == "Sigmoid"
    assert last_operator(tmp_path / "model.onnx", "logits") == "Mul"
    assert last_operator(tmp_path / "model.onnx", "image") == ""


def test_final_sigmoid_makes_a_multi_label_model(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, multi_label_graph())
    output = made.manifest.output
    assert (output.name, output.kind, output.thresholds) == ("scores", "sigmoid", (0.5,))
    told = " ".join(made.unsure)
    assert "'scores' is taken for sigmoid: the graph ends in a sigmoid" in told
    assert "--kind logits says otherwise" in told
    assert "present from 0.5 on" in told
    made = bring(tmp_path, labels, multi_label_graph(), threshold=0.8)
    assert made.manifest.output.thresholds == (0.8,)


def test_small_logits_are_still_logits(tmp_path: Path, labels: Path) -> None:
    assert bring(tmp_path, labels, small_logits()).manifest.output.kind == "logits"


def test_output_within_0_to_1_can_be_declared_logits(tmp_path: Path, labels: Path) -> None:
    made = bring(tmp_path, labels, clipped())
    assert made.manifest.output.kind == "sigmoid"
    assert "each number is 0..1, and they do not sum to 1" in " ".join(made.unsure)
    made = bring(tmp_path, labels, clipped(), kind="logits")
    assert made.manifest.output.kind == "logits"
    assert "taken for" not in " ".join(made.unsure)


@pytest.mark.parametrize("kind", ["sigmoid", "probabilities"])
def test_impossible_output_kind_is_refused(tmp_path: Path, labels: Path, kind: str) -> None:
    with pytest.raises(ModelRefused, match=rf"output\.kind: is {kind}"):
        bring(tmp_path, labels, kind=kind)
    assert not (tmp_path / "models/colours").exists()


def test_threshold_requires_a_multi_label_model(tmp_path: Path, labels: Path) -> None:
    with pytest.raises(CannotImport, match=r"--threshold is for multi-label models; .* logits"):
        bring(tmp_path, labels, threshold=0.5)
