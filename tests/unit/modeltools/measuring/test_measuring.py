"""Every metric, computed by hand on a few images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.modeltools.measuring.evaluation import (
    ClassFigures,
    CurvePoint,
    Evaluation,
    ForeignFigures,
    LevelFigures,
    Share,
)
from service.modeltools.measuring.measuring import expected_calibration_error, measure
from service.modeltools.measuring.truth import FOREIGN
from tests.support.modeltools.evaluation_kit import hedger, shares, truth

IMAGES = [
    # Thresholds 0.8, 0.7, 0.6: what is in it, probabilities; and the answer.
    (truth("tabby"), (0.875, 0.0625, 0.0625, 0, 0)),  # tabby, right
    (truth("tabby"), (0.25, 0.5, 0.125, 0.125, 0)),  # cat, right; Egyptian cat was likelier
    (truth("beagle"), (0.25, 0.25, 0.375, 0.125, 0)),  # animal, right
    (truth("beagle", "tabby"), (0.5, 0.5, 0, 0, 0)),  # cat, right
    (truth("mug"), (0, 0, 0.25, 0.25, 0.5)),  # not sure
    (truth("sky"), (0, 0, 0.9375, 0.0625, 0)),  # beagle, wrong
    (truth("cat"), (0.875, 0.125, 0, 0, 0)),  # tabby: nobody said so
    (truth("dog"), (0.125, 0, 0.75, 0.125, 0)),  # dog, right
    (truth("animal"), (0.375, 0.125, 0.25, 0.25, 0)),  # animal, right
    (FOREIGN, (0, 0, 0, 1, 0)),  # mug, wrong
    (FOREIGN, (0.5, 0, 0.25, 0.125, 0.125)),  # animal, wrong
    (FOREIGN, (0.125, 0.125, 0.125, 0.25, 0.375)),  # not sure
]


@pytest.fixture
def found() -> Evaluation:
    return measure(
        shares(*[row for _, row in IMAGES]), [said for said, _ in IMAGES], hedger(0.8, 0.7, 0.6)
    )


def test_label_accuracy_counts_only_labelled_images(found: Evaluation) -> None:
    assert (found.images, found.labelled) == (9, 6)
    assert found.top1 == Share(3, 6)
    assert found.top5 == Share(6, 6)
    # tabby 1/2, beagle 1/1, beagle or tabby 1/1, mug 0, sky 0
    assert found.mean_per_class == pytest.approx(2.5 / 5)


def test_level_accuracy_counts_only_images_named_at_that_level(found: Evaluation) -> None:
    assert found.levels == (
        LevelFigures(0, Share(3, 6), Share(3, 9), Share(1, 3)),
        LevelFigures(1, Share(5, 8), Share(3, 9), Share(3, 3)),
        LevelFigures(2, Share(7, 9), Share(2, 9), Share(2, 2)),
    )


def test_answered_shares_and_their_precision_are_measured(found: Evaluation) -> None:
    assert found.answered == Share(8, 9)
    assert found.precision == Share(6, 8)
    assert found.answered_below == Share(6, 9)
    assert found.precision_below == Share(4, 6)
    assert found.precision_with_foreign == Share(6, 10)
    assert found.foreign == ForeignFigures(Share(2, 3), Share(1, 3))


def test_log_loss_sums_over_correct_labels(found: Evaluation) -> None:
    right = [0.875, 0.25, 0.375, 0.5, 0.25, 1e-12]
    expected = -sum(map(math.log, right)) / 6
    assert found.negative_log_likelihood == pytest.approx(expected)


def test_class_figures_list_the_likeliest_wrong_answers(found: Evaluation) -> None:
    assert found.classes[0] == ClassFigures(
        "tabby", is_label=True, right=Share(1, 2), wrong_answers=(("Egyptian cat", 1),)
    )
    by_name = {each.name: each for each in found.classes}
    assert by_name["beagle|tabby"] == ClassFigures(
        "beagle|tabby", is_label=True, right=Share(1, 1), wrong_answers=()
    )
    assert by_name["mug"] == ClassFigures(
        "mug", is_label=True, right=Share(0, 1), wrong_answers=(("sky", 1),)
    )
    assert by_name["cat"] == ClassFigures(
        "cat", is_label=False, right=Share(1, 1), wrong_answers=()
    )
    assert by_name["animal"] == ClassFigures(
        "animal", is_label=False, right=Share(1, 1), wrong_answers=()
    )
    assert len(by_name) == 8


def test_curve_starts_with_the_most_confident_image(found: Evaluation) -> None:
    # By score: sky as beagle, tabby, mug as sky, tabby as Egyptian cat and the pair, beagle.
    assert found.curve[0] == CurvePoint(1 / 6, 0, 0.9375)
    assert found.curve[1] == CurvePoint(2 / 6, 1 / 2, 0.875)
    assert found.curve[-1] == CurvePoint(1, 3 / 6, 0.375)
    assert len(found.curve) == 6


def test_long_curve_is_reduced_to_twenty_points() -> None:
    scores = np.linspace(0.5, 0.9, 100)
    rows = [(score, 1 - score, 0, 0, 0) for score in scores]
    truths = [truth("Egyptian cat")] * 50 + [truth("tabby")] * 50
    curve = measure(shares(*rows), truths, hedger()).curve
    assert [point.coverage for point in curve] == [n / 20 for n in range(1, 21)]
    assert [point.precision for point in curve[:11]] == [1] * 10 + [50 / 55]
    assert curve[-1].precision == 0.5


def test_calibration_error_averages_the_gap_of_each_bin() -> None:
    # Bins (2/15, 3/15], (8/15, 9/15] and (14/15, 1].
    confidence = np.array([0.2, 0.55, 0.59, 1.0])
    right = np.array([True, False, True, True])
    expected = (0.8 + abs(1 - 0.55 - 0.59) + 0) / 4
    assert expected_calibration_error(confidence, right) == pytest.approx(expected)


def test_calibrated_probabilities_have_no_calibration_error() -> None:
    confidence, right = np.full(100, 0.8), np.arange(100) < 80
    assert expected_calibration_error(confidence, right) == pytest.approx(0)


def test_every_answer_is_a_label_without_groups() -> None:
    rows = [(0.9, 0.1, 0, 0, 0), (0.5, 0.5, 0, 0, 0)]
    found = measure(shares(*rows), [truth("tabby")] * 2, hedger(0.8, groups={}))
    assert found.answered == found.answered_below == Share(1, 2)
    assert found.foreign is None
    assert len(found.levels) == 1


def test_unnamed_labels_count_for_accuracy_but_not_for_answers() -> None:
    rows = [(0.9, 0.05, 0, 0, 0.05)]
    found = measure(shares(*rows), [truth("tabby")], hedger(0.8, 0.7, 0.6, unnamed=("tabby",)))
    assert found.top1 == Share(1, 1)
    assert (found.levels[1].answered, found.precision) == (Share(1, 1), Share(1, 1))


def test_empty_evaluation_has_no_values() -> None:
    found = measure(shares((1, 0, 0, 0, 0)), [FOREIGN], hedger(0.8))
    assert (found.images, found.top1.value, found.precision.value) == (0, None, None)
    assert found.mean_per_class is None
    assert found.negative_log_likelihood is None
    assert found.expected_calibration_error is None
    assert (found.curve, found.classes) == ((), ())
    nothing = measure(np.zeros((0, 5), np.float32), [], hedger(0.8))
    assert (nothing.images, nothing.foreign) == (0, None)
