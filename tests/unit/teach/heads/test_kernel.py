"""Kernel maps: ridge behind them is kernel ridge regression; equal photos have none."""

from __future__ import annotations

import numpy as np
import pytest

from service.teach.heads import kernel
from service.teach.heads.fitting import FitOptions, Targets, fit
from service.teach.heads.kernel import fit_kernel, of_rooted_length_one

DICE = np.random.default_rng(5)


def rings(photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features [N, 1, 8] of three alternating slices, which no linear head tells apart."""
    random = np.random.default_rng(0)
    place_N = random.uniform(0.05, 0.95, photos)
    features_ND = random.uniform(0, 0.02, (photos, 8))
    features_ND[:, 0], features_ND[:, 1] = place_N, 1 - place_N
    return features_ND[:, np.newaxis].astype(np.float32), (place_N * 6).astype(np.int64) % 2


def test_inner_products_are_those_of_the_kernel() -> None:
    features_ND = DICE.normal(size=(30, 12))
    found = fit_kernel(features_ND)
    assert found is not None
    x_ND = of_rooted_length_one(features_ND)
    squares_NN = np.square(x_ND[:, np.newaxis] - x_ND).sum(axis=2)
    assert found.scale == pytest.approx(np.median(squares_NN[np.triu_indices(30, 1)]))
    mapped_NR = found(features_ND)
    assert mapped_NR @ mapped_NR.T == pytest.approx(np.exp(-squares_NN / found.scale), abs=1e-6)


def test_length_and_order_of_photos_do_not_matter() -> None:
    features_ND = np.abs(DICE.normal(size=(20, 9)))
    found, longer = fit_kernel(features_ND), fit_kernel(features_ND[::-1] * 7)
    assert found is not None
    assert longer is not None
    ours, theirs = (one(features_ND[:4]) for one in (found, longer))
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T, abs=1e-9)


def test_many_photos_share_fewer_landmarks_in_fewer_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "MOST_LANDMARKS", 50)
    monkeypatch.setattr(kernel, "MOST_DIRECTIONS", 16)
    features_ND = DICE.normal(size=(120, 40))
    found, again = fit_kernel(features_ND), fit_kernel(features_ND)
    assert found is not None
    assert again is not None
    assert found.features == 40
    assert found.landmarks_MP.shape == (50, 16)
    assert np.array_equal(found(features_ND), again(features_ND))
    assert np.isfinite(found(np.zeros((1, 40)))).all()


@pytest.mark.parametrize("features_ND", [np.ones((6, 5)), np.zeros((6, 5)), np.ones((1, 5))])
def test_equal_photos_have_no_kernel(features_ND: np.ndarray) -> None:
    assert fit_kernel(features_ND) is None
    if len(features_ND) > 1:
        targets = Targets.of_labels(np.arange(6) % 2, 2)
        views_NVD = features_ND[:, np.newaxis].astype(np.float32)
        fitted = fit(views_NVD, targets, np.arange(6), options=FitOptions(kind="kernel"))
        assert fitted.head.kernel is None


def test_the_kernel_is_chosen_where_classes_are_not_linear() -> None:
    features_NVD, labels_N = rings(150)
    targets = Targets.of_labels(labels_N, 2)
    fitted = fit(features_NVD, targets, np.arange(150))
    linear = fit(features_NVD, targets, np.arange(150), options=FitOptions(kind="linear"))
    assert fitted.head.kernel is not None
    right, right_linear = (
        (one.held_out_NK.argmax(axis=1) == labels_N).mean() for one in (fitted, linear)
    )
    assert right > 0.85
    assert right > right_linear + 0.2


def test_held_out_answers_are_those_of_refits_with_the_same_map() -> None:
    features_NVD, labels_N = rings(24)
    groups_N = np.arange(24) // 3
    options = FitOptions(kind="kernel", strength=0.1, class_weights="none")
    fitted = fit(features_NVD, Targets.of_labels(labels_N, 2), groups_N, options=options)
    mapped_NR = fitted.head.mapped(features_NVD[:, 0])
    centred = mapped_NR - mapped_NR.mean(axis=0)
    penalty = fitted.strength * float(np.square(centred).sum()) / 24
    rest = groups_N != 2
    x_MR, y_MK = mapped_NR[rest], np.eye(2)[labels_N[rest]]
    away_MR = x_MR - x_MR.mean(axis=0)
    gram = away_MR.T @ away_MR + penalty * np.eye(x_MR.shape[1])
    weight = np.linalg.solve(gram, away_MR.T @ (y_MK - y_MK.mean(axis=0)))
    expected = (mapped_NR[~rest] - x_MR.mean(axis=0)) @ weight + y_MK.mean(axis=0)
    assert fitted.held_out_NK[~rest] == pytest.approx(expected, abs=1e-6)
