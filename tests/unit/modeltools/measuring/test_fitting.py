"""Fitting of temperature and thresholds: hand-made cases, and the precision for any images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.manifest.model_output import OutputSpec
from service.core.imaging.hedging import NEVER, Hedger
from service.modeltools.measuring.best_answers import ABSTAINED, best_answers
from service.modeltools.measuring.fitting import (
    COLDEST,
    HOTTEST,
    CannotFit,
    fit_temperature,
    fit_thresholds,
)
from service.modeltools.measuring.truth import FOREIGN, Truth
from tests.support.modeltools.evaluation_kit import GROUPS, LABELS, LOGITS, hedger, shares, truth

FLAT = hedger(labels=("a", "b"), groups={})
A, B = (Truth.of((name,), ("a", "b"), {}) for name in "ab")


def outputs(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_fitted_temperature_makes_confidence_equal_accuracy() -> None:
    # A logit of 4 where three of four are right: sigmoid(4 / T) = 3/4 at T = 4 / ln 3.
    output_NK = outputs(*[(4, 0)] * 40, *[(0, 4)] * 40)
    truths = [*[A] * 30, *[B] * 10, *[B] * 30, *[A] * 10]
    assert fit_temperature(output_NK, truths, LOGITS) == pytest.approx(4 / math.log(3), abs=1e-3)


def test_probabilities_of_several_right_labels_are_summed() -> None:
    # Right labels have 2 e^(2/T) of 2 e^(2/T) + 1, which is the right 4/5 at T = 2 / ln 2.
    output_NK = outputs(*[(2, 2, 0, -99, -99)] * 80)
    truths = [*[truth("tabby", "Egyptian cat")] * 64, *[truth("beagle")] * 16]
    assert fit_temperature(output_NK, truths, LOGITS) == pytest.approx(2 / math.log(2), abs=1e-3)


def test_images_without_a_label_do_not_affect_the_temperature() -> None:
    output_NK = outputs(*[(4, 0, 0, 0, 0)] * 30, *[(0, 4, 0, 0, 0)] * 30)
    truths = [*[truth("tabby")] * 20, *[truth("beagle")] * 10, *[truth("Egyptian cat")] * 30]
    alone = fit_temperature(output_NK, truths, LOGITS)
    more_NK = np.concatenate([output_NK, outputs(*[(0, 0, 0, 9, 0)] * 50)])
    others = [*[FOREIGN] * 25, *[truth("animal")] * 25]
    assert fit_temperature(more_NK, truths + others, LOGITS) == alone


def test_a_background_class_is_skipped() -> None:
    output_NK = outputs(*[(-99, 4, 0)] * 40, *[(-99, 0, 4)] * 40)
    truths = [*[A] * 30, *[B] * 10, *[B] * 30, *[A] * 10]
    spec = LOGITS.model_copy(update={"label_offset": 1})
    assert fit_temperature(output_NK, truths, spec) == pytest.approx(4 / math.log(3), abs=1e-3)


@pytest.mark.parametrize(("right", "bound"), [(A, COLDEST), (B, HOTTEST)])
def test_temperature_is_clamped_to_its_bounds(right: Truth, bound: float) -> None:
    wrong = B if right is A else A
    output_NK = outputs(*[(1, 0)] * 40, *[(0, 1)] * 40)
    truths = [*[right] * 40, *[wrong] * 40]
    assert fit_temperature(output_NK, truths, LOGITS) == pytest.approx(bound, rel=0.01)


def test_probability_output_keeps_temperature_one() -> None:
    spec = OutputSpec(name="p", kind="probabilities")
    assert fit_temperature(outputs(*[(0.5, 0.5)] * 60), [A, B] * 30, spec) == 1


def test_sigmoid_output_has_no_temperature() -> None:
    spec = LOGITS.model_copy(update={"kind": "sigmoid"})
    with pytest.raises(CannotFit, match="'sigmoid' has no temperature"):
        fit_temperature(outputs(*[(0.5, 0.5)] * 60), [A, B] * 30, spec)


def test_too_few_labelled_images_are_refused() -> None:
    truths = [*[truth("tabby")] * 25, *[truth("mug")] * 24, *[truth("cat")] * 50]
    with pytest.raises(CannotFit, match="49 images to fit on name a label"):
        fit_temperature(np.zeros((99, 5), np.float32), truths, LOGITS)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(CannotFit, match="all images to fit on show 'tabby'; at least 2 classes"):
        fit_temperature(np.zeros((60, 5), np.float32), [truth("tabby")] * 60, LOGITS)


def test_label_threshold_is_the_lowest_reaching_the_precision() -> None:
    # Highest score first: 18 right, 2 wrong, 10 right, 10 wrong. 28 of 30 are right at 0.7, 18 of
    # 20 at 0.8; at 0.6 it would be 28 of 40.
    scores = [*[0.9] * 18, *[0.8] * 2, *[0.7] * 10, *[0.6] * 10]
    truths = [*[A] * 18, *[B] * 2, *[A] * 10, *[B] * 10]
    shares_NK = np.array([[score, 1 - score] for score in scores])
    assert fit_thresholds(shares_NK, truths, FLAT, 0.9) == (0.7,)
    assert fit_thresholds(shares_NK, truths, FLAT, 0.7) == (0.6,)
    assert fit_thresholds(shares_NK, truths, FLAT, 0.94) == (NEVER,)
    assert fit_thresholds(shares_NK, truths, FLAT, 0.94, minimum=18) == (0.9,)


def test_thresholds_are_rounded_up_to_thousandths() -> None:
    scores = [0.8123] * 30 + [0.8121] * 30
    shares_NK = np.array([[score, 1 - score] for score in scores])
    assert fit_thresholds(shares_NK, [*[A] * 30, *[B] * 30], FLAT, 0.5) == (NEVER,)
    shares_NK[:30] = 0.8141, 0.1859
    assert fit_thresholds(shares_NK, [*[A] * 30, *[B] * 30], FLAT, 0.5) == (0.813,)


def test_group_is_fitted_on_images_without_a_finer_answer() -> None:
    # tabby, sure and right; tabby, but another cat; beagle, but only an animal.
    rows = [
        *[(0.875, 0.125, 0, 0, 0)] * 20,
        *[(0.625, 0.125, 0.25, 0, 0)] * 20,
        *[(0.25, 0.125, 0.5, 0.125, 0)] * 20,
    ]
    truths = [*[truth("tabby")] * 20, *[truth("Egyptian cat")] * 20, *[truth("cat")] * 20]
    assert fit_thresholds(shares(*rows), truths, hedger(), 0.95) == (0.875, 0.75, 0.875)


def test_answered_foreign_images_count_as_wrong() -> None:
    shares_NK = np.array([*[(0.9, 0.1)] * 20, *[(0.7, 0.3)] * 20, *[(0.75, 0.25)] * 20])
    truths = [*[A] * 40, *[FOREIGN] * 20]
    assert fit_thresholds(shares_NK, truths, FLAT, 0.9) == (0.9,)
    assert fit_thresholds(shares_NK[:40], truths[:40], FLAT, 0.9) == (0.7,)


def test_label_answer_to_a_group_image_counts_as_wrong() -> None:
    shares_NK = shares(*[(0.95, 0.05, 0, 0, 0)] * 30)
    fitted = fit_thresholds(shares_NK, [truth("cat")] * 30, hedger(), 0.9)
    # Certain cats, all of them: none is left for the wider group.
    assert fitted == (NEVER, 0.999, NEVER)


def test_certain_but_wrong_answers_are_excluded() -> None:
    shares_NK = shares(*[(1, 0)] * 40)
    truths = [*[A] * 20, *[B] * 20]
    assert fit_thresholds(shares_NK, truths, FLAT, 0.6) == (NEVER,)
    assert (best_answers(shares_NK, FLAT).levels((NEVER,)) == ABSTAINED).all()
    assert fit_thresholds(shares_NK, truths, FLAT, 0.5) == (0.999,)


@pytest.mark.parametrize("precision", [0, 1, -0.5, 95, math.nan])
def test_precision_out_of_range_is_refused(precision: float) -> None:
    with pytest.raises(CannotFit, match="cannot be promised"):
        fit_thresholds(shares(), [], hedger(), precision)


def any_images(
    seed: int, count: int, sharpness: float, chosen: Hedger
) -> tuple[NDArray[np.float32], list[Truth]]:
    """Images with right answers more often at higher scores; some name groups, or nothing."""
    dice = np.random.default_rng(seed)
    logits_NK = dice.normal(0, sharpness, (count, len(LABELS)))
    shares_NK = np.exp(logits_NK) / np.exp(logits_NK).sum(axis=1, keepdims=True)
    groups = GROUPS if chosen.hierarchy.levels else {}
    names = [*LABELS, "cat", "dog", "animal"] if groups else LABELS
    truths = []
    for shares_K in shares_NK:
        drawn = LABELS[dice.choice(len(LABELS), p=shares_K)]
        other = str(dice.choice(names))
        said = dice.choice(4)
        named = {0: (other,), 1: ()}.get(said, (drawn,))
        truths.append(Truth.of(named, LABELS, groups))
    return shares_NK.astype(np.float32), truths


images = {
    "seed": st.integers(0, 2**32 - 1),
    "count": st.integers(0, 150),
    "sharpness": st.floats(0.1, 4),
    "minimum": st.integers(0, 30),
}


@given(**images, precision=st.floats(0.01, 0.99))
def test_every_level_reaches_the_precision_on_its_images(
    seed: int, count: int, sharpness: float, minimum: int, precision: float
) -> None:
    chosen = hedger()
    shares_NK, truths = any_images(seed, count, sharpness, chosen)
    thresholds = fit_thresholds(shares_NK, truths, chosen, precision, minimum)
    assert [round(1000 * threshold) / 1000 for threshold in thresholds] == [*thresholds]
    answers = best_answers(shares_NK, chosen)
    levels_N, right_NL = answers.levels(thresholds), answers.right(truths)
    for level, threshold in enumerate(thresholds):
        if threshold == NEVER:
            assert not (levels_N == level).any()
            continue
        right_M = right_NL[levels_N == level, level]
        assert len(right_M) >= max(minimum, 1)
        assert right_M.mean() >= precision - 1e-9


@given(**images, promises=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_lower_precision_never_answers_fewer_images(
    seed: int, count: int, sharpness: float, minimum: int, promises: tuple[float, float]
) -> None:
    chosen = hedger(groups={})
    shares_NK, truths = any_images(seed, count, sharpness, chosen)
    low, high = (
        fit_thresholds(shares_NK, truths, chosen, promise, minimum) for promise in sorted(promises)
    )
    answers = best_answers(shares_NK, chosen)
    assert low <= high
    assert (answers.levels(low) >= 0).sum() >= (answers.levels(high) >= 0).sum()
