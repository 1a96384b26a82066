"""Flipped labels are found; classes that are one class are found."""

from __future__ import annotations

import numpy as np
import pytest

from service.teach.heads.fitting import Targets, fit
from service.teach.verdict.held_out import HeldOut, held_out_answers
from service.teach.verdict.pairs import inseparable
from service.teach.verdict.suspects import contradiction
from tests.unit.teach.verdict.support import fitted_of
from tests.unit.teach.verdict.test_verdict import blobs


def held_of(labels: np.ndarray, logits: np.ndarray, groups: np.ndarray | None = None) -> HeldOut:
    targets = Targets.of_labels(labels, logits.shape[1])
    held = held_out_answers(
        fitted_of(logits, targets), targets, np.arange(len(labels)) if groups is None else groups
    )
    assert isinstance(held, HeldOut)
    return held


def test_flipped_labels_come_first() -> None:
    features, labels = blobs([50, 50, 50, 50], apart=4.0)
    flipped = np.random.default_rng(5).permutation(200)[:10]
    labels[flipped] = (labels[flipped] + 1) % 4
    targets = Targets.of_labels(labels, 4)
    held = held_out_answers(fit(features, targets, np.arange(200)), targets, np.arange(200))
    assert isinstance(held, HeldOut)
    first = np.argsort(-contradiction(held))[:20]
    assert len(np.intersect1d(first, flipped)) >= 8


def test_the_contradiction_is_what_is_left_of_the_labels_score() -> None:
    logits = np.array([[1.0, 1.0], [9.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    scores = contradiction(held_of(np.array([0, 0, 1, 1]), logits))
    assert scores.tolist() == pytest.approx([0.5, 0.0, 0.0, 1.0], abs=1e-3)


def test_photos_that_are_not_judged_are_no_suspects() -> None:
    logits = np.array([[0.0, 5.0], [0.0, 5.0], [0.0, 5.0]])
    assert contradiction(held_of(np.array([0, 1, 1]), logits))[0] == 0


def test_classes_of_the_same_photos_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1, 2], 60)
    logits = rng.normal(size=(180, 3))
    logits[labels == 2, 2] += 8
    logits[labels != 2, 2] -= 8
    (pair,) = inseparable(held_of(labels, logits), ("cup", "mug", "fork"))
    assert (pair.first, pair.second, pair.photos) == ("cup", "mug", 120)
    assert pair.interval.low < 0.5 < pair.interval.high


def test_an_answer_of_always_the_larger_class_is_chance() -> None:
    labels = np.repeat([0, 1], [150, 50])
    logits = np.tile([1.0, 0.0], (200, 1)) + np.random.default_rng(7).normal(size=(200, 2)) * 0.1
    (pair,) = inseparable(held_of(labels, logits), ("cup", "mug"))
    assert (pair.photos, pair.right) == (200, 150)


def test_nothing_is_said_of_few_photos() -> None:
    labels = np.repeat([0, 1], 4)
    logits = np.random.default_rng(8).normal(size=(8, 2))
    assert inseparable(held_of(labels, logits), ("cup", "mug")) == ()
