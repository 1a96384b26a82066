"""The reference of drift that a taught version is published with."""

from __future__ import annotations

import numpy as np

from schemas.drift import Quantity
from service.teach.grafting.reference import reference_of
from service.teach.heads.fitting import Targets, fit


def photos(count: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels_N = np.arange(count) % classes
    centres = np.random.default_rng(9).normal(size=(classes, 40)) * 2
    features_ND = centres[labels_N] + random.normal(size=(count, 40))
    return features_ND[:, np.newaxis].astype(np.float32), labels_N


def test_each_judged_photo_counts_once_for_each_quantity() -> None:
    features, labels = photos(60)
    fitted = fit(features, Targets.of_labels(labels, 2), np.arange(60))
    found = reference_of(fitted, 0.5)
    assert found is not None
    assert (found.source, found.answers) == ("training", 60)
    assert {quantity: sum(counts) for quantity, counts in found.counts.items()} == {
        Quantity.SCORE: 60,
        Quantity.ABSTAINED: 60,
        Quantity.UNKNOWN: 60,
    }
    sure = np.array(found.counts[Quantity.SCORE])
    assert sure[5:].sum() > 50
    assert found.counts[Quantity.ABSTAINED][1] < 10


def test_higher_threshold_abstains_more() -> None:
    features, labels = photos(60)
    fitted = fit(features, Targets.of_labels(labels, 2), np.arange(60))
    shares = []
    for threshold in (0.0, 0.9, 1.1):
        found = reference_of(fitted, threshold)
        assert found is not None
        shares.append(found.counts[Quantity.ABSTAINED][1])
    assert shares == sorted(shares)
    assert shares[-1] == 60


def test_photos_of_several_labels_have_no_unknown() -> None:
    features, labels = photos(60, classes=4)
    present = np.stack([labels % 2 == 1, labels >= 2], axis=1)
    found = reference_of(fit(features, Targets.of_presence(present), np.arange(60)), 0.5)
    assert found is not None
    assert Quantity.UNKNOWN not in found.counts


def test_one_group_has_no_reference() -> None:
    features, labels = photos(12)
    fitted = fit(features, Targets.of_labels(labels, 2), np.zeros(12, np.int64))
    found = reference_of(fitted, 0.5)
    assert found is None or found.answers <= 12
