"""Heads on the graphs of the repository's models: ONNX equals NumPy, old heads are gone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from observability.onnx_runtime import ort
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.teach.features.penultimate import Penultimate, find
from service.teach.grafting.graft import FIRST_OPSET, Graft, grafted
from service.teach.grafting.problems import CannotGraft
from service.teach.grafting.unknown import UnknownScore
from service.teach.heads import kernel
from service.teach.heads.arrays import of_length_one
from service.teach.heads.distance import Distance
from service.teach.heads.head import Head, HeadKind

EVERYDAY = BUNDLED_MODELS / "everyday" / "1" / "model.onnx"
DICE = np.random.default_rng(3)
WIDTH = 12


def head(width: int, classes: int, kind: HeadKind = "softmax") -> Head:
    return Head(DICE.normal(size=(classes, width)) / 4, DICE.normal(size=classes), kind)


def distance(width: int, classes: int, *, directions: int, threshold: float = 1.0) -> Distance:
    """A covariance that is the same number in all directions but a few."""
    vectors, _ = np.linalg.qr(DICE.normal(size=(width, width)))
    spread = np.full(width, 0.5)
    spread[:directions] = DICE.uniform(0.6, 3.0, directions)
    means = of_length_one(DICE.normal(size=(classes, width)))
    scales = np.sqrt(2.0 - 1 / spread[:directions])
    return Distance(means, 2.0, vectors[:, :directions] * scales, threshold)


def small_base(opset: int = 17, *, pooled: bool = False, dtype: int = TensorProto.FLOAT) -> Any:
    """A base whose features are its input, cast: [N, WIDTH], or [N, WIDTH, 2, 2] before a pool."""
    shape: list[str | int | None] = ["N", WIDTH, 2, 2] if pooled else ["N", WIDTH]
    weight = numpy_helper.from_array(np.ones((WIDTH, 3), np.float32), "old.weight")
    old = "pooled" if pooled else "wide"
    nodes = [
        helper.make_node("Cast", ["image"], ["features"], to=dtype),
        helper.make_node("Cast", ["features"], ["wide"], to=TensorProto.FLOAT),
    ]
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", ["wide"], ["map"]))
        nodes.append(helper.make_node("Flatten", ["map"], ["pooled"], axis=1))
    nodes.append(helper.make_node("MatMul", [old, "old.weight"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found, *_ = session.run(None, {session.get_inputs()[0].name: image})
    return np.asarray(found)


FEATURES = Penultimate("features", WIDTH, ())


@pytest.mark.parametrize("opset", [FIRST_OPSET, 9, 11, 12, 13, 17, 18, 21])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("directions", [None, 0, 3, WIDTH])
def test_onnx_equals_numpy_for_every_version_of_the_operators(
    opset: int, kind: HeadKind, directions: int | None
) -> None:
    unknown = None
    if directions is not None:
        unknown = UnknownScore.of(distance(WIDTH, 3, directions=directions))
    graft = Graft.of(head(WIDTH, 3, kind), 0.7, unknown)
    model = grafted(small_base(opset), FEATURES, graft)
    image = (DICE.normal(size=(6, WIDTH)) + 7).astype(np.float32)
    assert np.abs(run(model, image) - graft(image)).max() < 1e-3
    names = ["logits" if kind == "softmax" else "scores", "potoo.teach.features"]
    assert [one.name for one in model.graph.output] == names
    assert "old.weight" not in {one.name for one in model.graph.initializer}


@pytest.mark.parametrize("opset", [FIRST_OPSET, 9, 11, 13, 18, 21])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("most_directions", [4, WIDTH])
def test_onnx_equals_numpy_behind_a_kernel(
    opset: int, kind: HeadKind, most_directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = np.random.default_rng(opset)
    monkeypatch.setattr(kernel, "MOST_DIRECTIONS", most_directions)
    found = kernel.fit_kernel(dice.normal(size=(40, WIDTH)))
    assert found is not None
    assert (found.directions_DP is None) == (most_directions == WIDTH)
    weight_KR = dice.normal(size=(3, found.whitening_MR.shape[1])) / 4
    behind = Head(weight_KR, dice.normal(size=3), kind, found)
    graft = Graft.of(behind, 0.7, None)
    model = grafted(small_base(opset), FEATURES, graft)
    image = np.vstack([dice.normal(size=(6, WIDTH)), np.zeros((1, WIDTH))]).astype(np.float32)
    assert np.abs(run(model, image) - graft(image)).max() < 1e-3


def test_features_of_half_precision_are_cast() -> None:
    graft = Graft.of(head(WIDTH, 2), 1.0)
    model = grafted(small_base(dtype=TensorProto.FLOAT16), FEATURES, graft)
    image = DICE.normal(size=(2, WIDTH)).astype(np.float16).astype(np.float32)
    assert np.abs(run(model, image) - graft(image)).max() < 1e-4


def test_a_map_is_pooled() -> None:
    graft = Graft.of(head(WIDTH, 2), 1.0)
    model = grafted(small_base(pooled=True), Penultimate("features", WIDTH, (), pooled=True), graft)
    image = DICE.normal(size=(2, WIDTH, 2, 2)).astype(np.float32)
    assert np.abs(run(model, image) - graft(image.mean(axis=(2, 3)))).max() < 1e-4


def test_a_photo_far_from_all_is_unknown_and_one_near_is_not() -> None:
    shown = distance(WIDTH, 3, directions=4)
    score = UnknownScore.of(shown)
    assert score is not None
    graft = Graft.of(head(WIDTH, 3), 1.3, score)
    near, far = 5 * shown.mean_KD[1], -5 * shown.mean_KD.mean(axis=0)
    logits = graft(np.stack([near, far])) / 1.3
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares[0, -1] < 1e-6
    assert shares[1, -1] > 1 - 1e-6


def test_the_share_of_unknown_is_what_the_distance_says_and_leaves_the_classes_alone() -> None:
    shown = distance(WIDTH, 3, directions=4)
    score = UnknownScore.of(shown)
    assert score is not None
    features = shown.mean_KD[0] + DICE.normal(size=(20, WIDTH)) / 5
    odds = 20 * (shown(features) / shown.threshold - 1)
    assert np.allclose(score(features), np.clip(odds, -30, 30), atol=1e-6)
    bare, whole = Graft.of(head(WIDTH, 3), 1.0), Graft.of(head(WIDTH, 3), 1.0, score)
    whole = Graft(bare.head, 1.0, score)
    shares = np.exp(whole(features))
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.allclose(shares[:, -1], 1 / (1 + np.exp(-score(features))))
    own = shares[:, :-1] / shares[:, :-1].sum(axis=1, keepdims=True)
    alone = np.exp(bare(features))
    assert np.allclose(own, alone / alone.sum(axis=1, keepdims=True))


def test_a_distance_that_says_nothing_makes_no_unknown() -> None:
    shown = distance(WIDTH, 2, directions=1)
    assert UnknownScore.of(replace(shown, threshold=np.inf)) is None


def test_a_label_without_photos_does_not_count_for_the_distance() -> None:
    shown = distance(WIDTH, 2, directions=1)
    empty = np.vstack([shown.mean_KD, np.full(WIDTH, np.nan)])
    score, other = (
        UnknownScore.of(shown),
        UnknownScore.of(replace(shown, mean_KD=empty)),
    )
    assert score is not None
    assert other is not None
    features = DICE.normal(size=(4, WIDTH)) + 7
    assert np.allclose(score(features), other(features))


def test_logits_of_a_softmax_never_look_like_probabilities() -> None:
    ridge = head(WIDTH, 2)
    ridge = Head(
        np.stack([ridge.weight_KD[0], -ridge.weight_KD[0]]), np.array([0.3, 0.7]), "softmax"
    )
    features = np.zeros((1, WIDTH))
    assert ridge.logits(features).sum() == pytest.approx(1)
    assert Graft.of(ridge, 1.0)(features).sum() == pytest.approx(0)


def test_everyday_keeps_its_input_and_loses_its_head() -> None:
    base = onnx.load(EVERYDAY)
    before = base.SerializeToString(deterministic=True)
    features = find(base)
    graft = Graft.of(head(features.width, 2), 1.0)
    model = grafted(base, features, graft)
    assert base.SerializeToString(deterministic=True) == before
    assert model.graph.input[0] == base.graph.input[0]
    old = {one.name for one in base.graph.initializer}
    kept = {one.name for one in model.graph.initializer}
    assert not any("head" in name for name in kept & old)
    image = DICE.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    assert run(model, image).shape == (3, 2)


def test_a_version_that_was_taught_can_be_a_base_itself() -> None:
    first = grafted(onnx.load(EVERYDAY), find(onnx.load(EVERYDAY)), Graft.of(head(192, 4), 1.0))
    features = find(first)
    assert features.width == 192
    second = grafted(first, features, Graft.of(head(192, 2), 1.0))
    image = DICE.integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)
    assert run(second, image).shape == (1, 2)


@pytest.mark.parametrize("fault", ["old operators", "no such tensor", "other width", "an input"])
def test_what_cannot_be_grafted_is_refused(fault: str) -> None:
    base, features, width = small_base(), FEATURES, WIDTH
    if fault == "old operators":
        base = copy.deepcopy(base)
        base.opset_import[0].version = FIRST_OPSET - 1
    elif fault == "no such tensor":
        features = Penultimate("nothing", WIDTH, ())
    elif fault == "an input":
        features = Penultimate("image", WIDTH, ())
    else:
        width += 1
    with pytest.raises(CannotGraft):
        grafted(base, features, Graft.of(head(width, 2), 1.0))


def test_initializers_that_were_inputs_are_no_inputs_any_more() -> None:
    base = small_base(9)
    base.ir_version = 3
    base.graph.input.append(
        helper.make_tensor_value_info("old.weight", TensorProto.FLOAT, [WIDTH, 3])
    )
    model = grafted(base, FEATURES, Graft.of(head(WIDTH, 2), 1.0))
    assert [one.name for one in model.graph.input] == ["image"]
