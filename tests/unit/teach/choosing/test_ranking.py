"""The order in which photos are worth a label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.teach.choosing.ranking import most_useful


def clusters(
    counts: tuple[int, ...], spread: float = 0.05, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int_]]:
    """Return features of tight clusters along the axes, and the cluster of each photo."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(counts)), counts)
    features = np.eye(len(counts), 16)[cluster] + spread * rng.normal(size=(len(cluster), 16))
    return features.astype(np.float32), cluster


def test_a_batch_has_one_photo_of_each_burst() -> None:
    features, cluster = clusters((30, 30, 30, 30))
    logits = np.zeros((120, 2))
    order = most_useful(features, logits, np.zeros(120, np.bool_), 4)
    assert set(cluster[order]) == {0, 1, 2, 3}


def test_photos_like_labelled_ones_come_last() -> None:
    features, cluster = clusters((20, 20, 20))
    labelled = cluster == 1
    order = most_useful(features, np.zeros((60, 2)), labelled, 2)
    assert set(cluster[order]) == {0, 2}


def test_undecided_photos_come_first() -> None:
    features, cluster = clusters((20, 20, 20))
    logits = np.zeros((60, 3))
    logits[cluster != 2, 0] = 9.0
    order = most_useful(features, logits, np.zeros(60, np.bool_), 1)
    assert cluster[order].tolist() == [2]


def test_without_a_head_the_first_photos_are_of_all_kinds() -> None:
    features, cluster = clusters((30, 20, 13))
    order = most_useful(features, np.zeros((63, 0)), np.zeros(63, np.bool_), 3)
    assert set(cluster[order]) == {0, 1, 2}


def test_of_several_labels_the_least_decided_counts() -> None:
    features, cluster = clusters((20, 20, 20))
    logits = np.full((60, 2), 9.0)
    logits[cluster == 1, 1] = -0.5
    logits[cluster == 2, 0] = -9.0
    order = most_useful(features, logits, np.zeros(60, np.bool_), 1, kind="sigmoid")
    assert cluster[order].tolist() == [1]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_scale_of_logits_and_features_does_not_matter(scale: float) -> None:
    features, _ = clusters((20, 20, 20), spread=0.3)
    logits = np.random.default_rng(1).normal(size=(60, 3))
    labelled = np.arange(60) % 4 == 0
    order = most_useful(features, logits, labelled, 10)
    scaled = most_useful(features * np.float32(scale), logits * scale, labelled, 10)
    assert scaled.tolist() == order.tolist()


@given(st.integers(0, 40), st.integers(0, 50), st.integers(0, 3), st.integers(0, 2**31))
def test_each_open_photo_at_most_once(photos: int, count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(photos, 5)).astype(np.float32)
    if seed % 5 == 0:
        features[:] = 1.0  # all alike
    labelled = rng.random(photos) < 0.3
    order = most_useful(features, rng.normal(size=(photos, classes)), labelled, count)
    assert len(order) == min(count, int((~labelled).sum()))
    assert len(set(order.tolist())) == len(order)
    assert not labelled[order].any()
