"""Verdicts of heads, from held-out logits to advice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.teach.verdict import Verdict
from service.teach.heads.fitting import Targets, fit
from service.teach.verdict.verdict import judge
from tests.unit.teach.verdict.support import answers, fitted_of

NAMES = ("glass", "paper", "metal")


def verdict_of(
    labels: Sequence[int],
    said: Sequence[int],
    groups: Sequence[int] | None = None,
    names: Sequence[str] = NAMES,
) -> Verdict:
    """Judge a head that answered photos with these labels so."""
    targets = Targets.of_labels(np.array(labels, np.int64), len(names))
    fitted = fitted_of(answers(said, len(names)), targets)
    places = np.arange(len(labels)) if groups is None else np.array(groups)
    return judge(fitted, targets, places, ids(len(labels)), names)


def ids(count: int) -> list[str]:
    return [f"photo-{place}" for place in range(count)]


def blobs(
    counts: Sequence[int], apart: float, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features [N, 1, 8] of classes whose means are apart, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = rng.normal(size=(len(counts), 8))
    means *= apart / np.linalg.norm(means, axis=1, keepdims=True)
    features = means[labels] + rng.normal(size=(len(labels), 8))
    return features[:, np.newaxis].astype(np.float32), labels


def test_counts_of_single_labels() -> None:
    found = verdict_of([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 0])
    assert found.confusion == ((2, 1, 0), (0, 2, 0), (1, 0, 1))
    assert (found.accuracy.right, found.accuracy.photos, found.accuracy.groups) == (5, 7, 7)
    assert found.accuracy.value == pytest.approx(5 / 7)
    glass = found.per_class[0]
    assert (glass.photos, glass.right, glass.answered) == (3, 2, 3)
    assert glass.precision == pytest.approx(2 / 3)
    assert glass.recall == pytest.approx(2 / 3)
    assert {suspect.photo for suspect in found.suspects} == {"photo-2", "photo-6"}


def test_a_class_of_one_group_is_not_judged() -> None:
    """The head that answered had never seen it: whatever it said is no evidence."""
    found = verdict_of([0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 0, 0, 0], [0, 1, 2, 3, 4, 4, 4])
    assert (found.accuracy.value, found.accuracy.photos) == (1.0, 4)
    metal = found.per_class[2]
    assert (metal.photos, metal.groups, metal.held_out, metal.recall) == (3, 1, 0, None)
    assert any("all photos of 'metal' are of one group" in step for step in found.advice)
    assert not found.enough


def test_all_photos_in_one_group_have_no_interval() -> None:
    found = verdict_of([0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], NAMES[:2])
    assert found.accuracy.value is None
    assert found.accuracy.interval is None
    assert found.accuracy.unknown == "one group"
    assert found.advice == (
        "Not yet: all photos are of one group. Add photos of another day or place.",
    )


@pytest.mark.parametrize(
    ("labels", "reason"), [([], "no photos"), ([1], "one class"), ([1] * 9, "one class")]
)
def test_fewer_than_two_classes(labels: list[int], reason: str) -> None:
    found = verdict_of(labels, labels, names=NAMES[:2])
    assert found.accuracy.interval is None
    assert found.accuracy.unknown == reason
    assert found.advice == ("Not yet: label photos of at least two classes.",)


def test_a_class_without_photos_is_asked_for() -> None:
    found = verdict_of([0] * 12 + [1] * 12, [0] * 12 + [1] * 12)
    assert found.advice == ("Not yet: label 10 photos of 'metal'; there are none.",)


def test_few_photos_are_asked_for_by_number() -> None:
    labels = [0] * 12 + [1] * 4
    found = verdict_of(labels, labels, names=NAMES[:2])
    assert found.advice[0] == "Not yet: label 6 more of 'paper'."


def test_logits_that_are_no_numbers_are_not_judged() -> None:
    targets = Targets.of_labels(np.array([0, 0, 1, 1]), 2)
    logits = answers([0, 0, 1, 1], 2)
    logits[2] = np.nan
    found = judge(fitted_of(logits, targets), targets, np.arange(4), ids(4), NAMES[:2])
    assert (found.accuracy.right, found.accuracy.photos) == (3, 3)


def test_arguments_of_different_photos_are_refused() -> None:
    targets = Targets.of_labels(np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="photos"):
        judge(fitted_of(answers([0, 1], 2), targets), targets, np.arange(2), ids(3), NAMES[:2])


def test_two_hundred_classes() -> None:
    names = [f"kind {place}" for place in range(200)]
    labels = np.repeat(np.arange(200), 3).tolist()
    found = verdict_of(labels, labels, names=names)
    assert found.accuracy.value == 1
    assert len(found.confusion) == 200
    assert found.inseparable == ()
    assert found.advice[0] == "Not yet: label 7 more of 'kind 0'."
    assert found.advice[-1] == "The same holds for 195 more of the classes."


def test_the_curve_of_many_photos_is_measured_on_some() -> None:
    features, labels = blobs([2500, 2500], apart=3.0)
    targets = Targets.of_labels(labels, 2)
    groups = np.arange(5000) // 2
    held_out = np.eye(2)[labels]
    fitted = fitted_of(held_out, targets)
    found = judge(fitted, targets, groups, ids(5000), NAMES[:2], features_NVD=features)
    assert [point.photos for point in found.curve][-1] == 5000
    assert 900 < found.curve[-2].photos <= 1010


def test_several_labels_count_for_each_class() -> None:
    present = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0], [0, 1]], np.bool_)
    known = np.ones_like(present)
    known[5, 0] = False
    targets = Targets.of_presence(present, known)
    logits = np.where(present, 3.0, -3.0)
    logits[0, 0] = -5.0  # missed
    logits[3, 1] = 2.0  # wrongly present
    found = judge(fitted_of(logits, targets), targets, np.arange(6), ids(6), NAMES[:2])
    assert found.kind == "multi"
    assert found.confusion == ((2, 1, 0, 2), (3, 0, 1, 2))
    assert (found.accuracy.right, found.accuracy.photos) == (4, 6)
    first, second = found.suspects[:2]
    assert (first.photo, first.label, first.proposed) == ("photo-0", "glass", "not glass")
    assert (second.photo, second.label, second.proposed) == ("photo-3", "not paper", "paper")


def test_foreign_photos_are_counted_by_distance() -> None:
    targets = Targets.of_labels(np.array([0, 1] * 4), 2)
    fitted = fitted_of(answers([0, 1] * 4, 2), targets, threshold=1.0)
    foreign = np.array([[0.0, 1.0], [3.0, 0.0], [0.0, 9.0], [-7.0, 0.0]])
    found = judge(fitted, targets, np.arange(8), ids(8), NAMES[:2], foreign_MD=foreign)
    assert found.foreign is not None
    assert (found.foreign.photos, found.foreign.answered) == (4, 0.25)


def test_a_fitted_head_gets_a_curve_and_a_forecast() -> None:
    features, labels = blobs([60, 60, 60], apart=3.0)
    targets = Targets.of_labels(labels, 3)
    groups = np.arange(180)
    fitted = fit(features, targets, groups)
    found = judge(fitted, targets, groups, ids(180), NAMES, features_NVD=features)
    assert [point.photos for point in found.curve] == [24, 45, 90, 180]
    assert found.forecast is not None
    assert found.forecast.photos == 360
    assert found.forecast.gain_low <= found.forecast.gain <= found.forecast.gain_high
    assert found.forecast.sentence.startswith("Twice the labels would likely bring")
    again = judge(fitted, targets, groups, ids(180), NAMES, features_NVD=features)
    assert again == found


def test_classes_that_are_told_apart_well_are_enough() -> None:
    features, labels = blobs([60, 60, 60], apart=12.0)
    targets = Targets.of_labels(labels, 3)
    groups = np.arange(180)
    found = judge(
        fit(features, targets, groups), targets, groups, ids(180), NAMES, features_NVD=features
    )
    assert found.enough
    assert found.advice[0].startswith("Enough: twice the labels would likely bring")
    assert found.calibration.threshold is not None


def test_a_verdict_survives_json() -> None:
    found = verdict_of([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 0])
    assert Verdict.model_validate_json(found.model_dump_json()) == found
