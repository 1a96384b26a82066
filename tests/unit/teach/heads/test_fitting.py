"""Heads: the ridge, its answers for groups that were left out, sums, distances, temperatures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.teach.heads.distance import fit_distance
from service.teach.heads.fitting import FitOptions, Targets, fit
from service.teach.heads.problems import CannotFit
from service.teach.heads.ridge import Ridge, Rows
from service.teach.heads.sums import Sums
from service.teach.heads.temperature import fit_temperature

WIDTH = 7


def drawn(seed: int, rows: int, classes: int = 3, width: int = WIDTH) -> Rows:
    """Return random rows in groups of up to four."""
    random = np.random.default_rng(seed)
    return Rows(
        random.normal(size=(rows, width)) * 3 + 1,
        np.eye(classes)[random.integers(0, classes, rows)],
        random.uniform(0.2, 2, rows),
        np.arange(rows) // random.integers(1, 5),
    )


def solved(rows: Rows, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias by the textbook: the bias is not penalised."""
    total = rows.weights_R.sum()
    mean_D, mean_K = rows.weights_R @ rows.x_RD / total, rows.weights_R @ rows.y_RK / total
    x_RD, weighted = rows.x_RD - mean_D, rows.weights_R[:, np.newaxis]
    gram = x_RD.T @ (weighted * x_RD) + strength * np.eye(x_RD.shape[1])
    weight_KD = np.linalg.solve(gram, x_RD.T @ (weighted * (rows.y_RK - mean_K))).T
    return weight_KD, mean_K - weight_KD @ mean_D


@given(st.integers(0, 10_000), st.sampled_from([4, 6, 7, 8, 20]), st.sampled_from([1e-3, 1, 50]))
def test_the_head_is_that_of_the_textbook(seed: int, count: int, strength: float) -> None:
    rows = drawn(seed, count)
    ridge = Ridge(rows)
    weight_KD, bias_K = ridge.head(strength)
    expected_KD, expected_K = solved(rows, strength * ridge.scale)
    assert weight_KD == pytest.approx(expected_KD, abs=1e-6)
    assert bias_K == pytest.approx(expected_K, abs=1e-6)


@given(st.integers(0, 10_000), st.sampled_from([6, 9, 20]), st.sampled_from([1e-2, 1, 50]))
def test_held_out_answers_are_those_of_refits(seed: int, count: int, strength: float) -> None:
    rows = drawn(seed, count)
    ridge = Ridge(rows)
    held_RK = ridge.held_out(strength)
    for group in np.unique(rows.groups_R):
        own = rows.groups_R == group
        rest = Rows(*(part[~own] for part in (rows.x_RD, rows.y_RK, rows.weights_R, rows.groups_R)))
        weight_KD, bias_K = solved(rest, strength * ridge.scale)
        expected_RK = rows.x_RD[own] @ weight_KD.T + bias_K
        assert held_RK[own] == pytest.approx(expected_RK, abs=1e-6)


def test_a_group_of_all_rows_has_no_held_out_answers() -> None:
    rows = drawn(1, 6)
    rows = Rows(rows.x_RD, rows.y_RK, rows.weights_R, np.zeros(6, np.int64))
    assert not Ridge(rows).held_out(1.0).any()


def blobs(counts: list[int], width: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features [N, 1, D] and labels around one centre a class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = random.normal(size=(len(counts), width)) * 2
    found = centres[labels] + random.normal(size=(len(labels), width))
    return found[:, np.newaxis].astype(np.float32), labels


@pytest.mark.parametrize("counts", [[5, 5], [3, 30], [200, 20, 4], [1, 1], [40, 40, 40, 40]])
def test_separate_classes_are_told_apart(counts: list[int]) -> None:
    features, labels = blobs(counts)
    targets = Targets.of_labels(labels, len(counts))
    fitted = fit(features, targets, np.arange(len(labels)))
    assert (fitted.head.logits(features[:, 0]).argmax(axis=1) == labels).all()
    assert np.isfinite(fitted.held_out_NK).all()
    assert fitted.temperature > 0


def test_views_of_a_photo_are_left_out_together() -> None:
    """Noise alone: with a view of itself in the fit, each photo would be told."""
    random = np.random.default_rng(3)
    view = random.normal(size=(60, 1, 100)).astype(np.float32)
    labels = random.integers(0, 2, 60)
    targets = Targets.of_labels(labels, 2)
    fitted = fit(np.concatenate([view, view], axis=1), targets, np.arange(60))
    right = (fitted.held_out_NK.argmax(axis=1) == labels).mean()
    assert right < 0.7


def test_twice_the_same_view_changes_nothing() -> None:
    features, labels = blobs([20, 8])
    targets = Targets.of_labels(labels, 2)
    once = fit(features, targets, np.arange(28), options=FitOptions(strength=0.1))
    twice = fit(
        np.concatenate([features, features], axis=1),
        targets,
        np.arange(28),
        options=FitOptions(strength=0.2),
    )
    assert twice.head.weight_KD == pytest.approx(once.head.weight_KD, abs=1e-8)


def test_balanced_weights_answer_a_rare_class_more_often() -> None:
    random = np.random.default_rng(4)
    labels = np.repeat([0, 1], [180, 20])
    features = (random.normal(size=(200, 1, 5)) + labels[:, np.newaxis, np.newaxis]).astype("f4")
    targets, groups = Targets.of_labels(labels, 2), np.arange(200)
    found = {
        weights: (
            fit(features, targets, groups, options=FitOptions(class_weights=weights))
            .held_out_NK.argmax(axis=1)
            .sum()
        )
        for weights in ("balanced", "none")
    }
    assert found["balanced"] > 1.5 * found["none"]


def test_several_labels_are_fitted_each() -> None:
    features, labels = blobs([30, 30, 30, 30])
    present = np.stack([labels % 2 == 1, labels >= 2], axis=1)
    fitted = fit(features, Targets.of_presence(present), np.arange(120))
    assert ((fitted.held_out_NK > 0.5) == present).mean() > 0.95


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_by_photo(value: float) -> None:
    features, labels = blobs([4, 4])
    features[5, 0, 3] = value
    with pytest.raises(CannotFit) as caught:
        fit(features, Targets.of_labels(labels, 2), np.arange(8))
    assert caught.value.photos == (5,)


def test_one_class_or_no_photo_is_refused() -> None:
    features, _ = blobs([4, 4])
    with pytest.raises(CannotFit, match="at least two labels"):
        fit(features, Targets.of_labels(np.zeros(8, np.int64), 2), np.arange(8))
    with pytest.raises(CannotFit, match="no labelled photos"):
        fit(features[:0], Targets.of_labels(np.zeros(0, np.int64), 2), np.arange(0))


def test_equal_features_give_finite_heads() -> None:
    features = np.ones((6, 1, 12), np.float32)
    fitted = fit(features, Targets.of_labels(np.array([0, 1] * 3), 2), np.arange(6))
    assert np.isfinite(fitted.head.weight_KD).all()
    assert np.isfinite(fitted.held_out_NK).all()


@given(st.integers(0, 10_000))
def test_sums_add_and_forget(seed: int) -> None:
    features, labels = blobs([6, 5], width=9, seed=seed)
    present = Targets.of_labels(labels, 2).present_NK
    cut = seed % 10 + 1
    first, second = (
        Sums.of(features[part], present[part]) for part in (slice(cut), slice(cut, 11))
    )
    whole = Sums.of(features, present)
    for found, expected in ((first + second, whole), (whole - second, first)):
        assert found.photos == expected.photos
        for name in ("counts_K", "x_D", "xx_DD", "xy_KD"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-9)


def test_distances_of_other_things_exceed_the_threshold() -> None:
    features, labels = blobs([40, 40], width=60)
    present = Targets.of_labels(labels, 2).present_NK
    distance = fit_distance(features[:60, 0], present[:60], np.arange(60))
    known = distance(features[60:, 0]) <= distance.threshold
    other = np.random.default_rng(9).normal(size=(50, 60))
    assert known.mean() > 0.8
    assert (distance(other) <= distance.threshold).mean() < 0.1


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_the_temperature_follows_the_scale_of_logits(scale: float) -> None:
    random = np.random.default_rng(5)
    logits = random.normal(size=(4000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=one) for one in shares])
    found = fit_temperature(logits * scale, Targets.of_labels(labels, 3))
    assert found == pytest.approx(scale, rel=0.15)
