"""Advice in plain English, the most useful step first."""

from __future__ import annotations

from dataclasses import replace

from schemas.teach.verdict import (
    Accuracy,
    Calibration,
    ClassVerdict,
    Forecast,
    InseparablePair,
    Interval,
    Suspect,
)
from service.teach.verdict.advice import Findings, advise

SOLID = Findings(
    is_multi=False,
    groups=200,
    accuracy=Accuracy(
        value=0.95, right=190, photos=200, groups=200, interval=Interval(low=0.91, high=0.97)
    ),
    per_class=(),
    forecast=None,
    suspects=(),
    inseparable=(),
    calibration=Calibration(
        temperature=1.0,
        error=0.02,
        promised_precision=0.95,
        threshold=0.6,
        coverage=0.9,
        precision=0.97,
    ),
)


def class_of(name: str, photos: int, low: float, high: float, groups: int = 50) -> ClassVerdict:
    return ClassVerdict(
        name=name,
        photos=photos,
        groups=groups,
        held_out=photos,
        right=photos,
        answered=photos,
        precision=0.9,
        recall=0.9,
        recall_interval=Interval(low=low, high=high),
    )


def forecast_of(
    gain: float, sentence: str = "Twice the labels would likely bring a bit."
) -> Forecast:
    return Forecast(photos=400, gain_low=0.0, gain=gain, gain_high=2 * gain, sentence=sentence)


GLASS, PAPER = class_of("glass", 100, 0.93, 0.99), class_of("paper", 100, 0.9, 0.98)


def test_a_small_gain_is_enough() -> None:
    enough, steps = advise(replace(SOLID, per_class=(GLASS, PAPER), forecast=forecast_of(0.005)))
    assert enough
    assert steps == ("Enough: twice the labels would likely bring a bit.",)


def test_the_class_that_is_known_least_well_comes_first() -> None:
    weak = class_of("paper", 40, 0.6, 0.86)
    enough, steps = advise(replace(SOLID, per_class=(GLASS, weak), forecast=forecast_of(0.05)))
    assert not enough
    assert steps == (
        "Not yet: label 28 more of 'paper'.",
        "Twice the labels would likely bring a bit.",
    )


def test_a_large_gain_without_a_weak_class_asks_for_more_of_all() -> None:
    enough, steps = advise(replace(SOLID, per_class=(GLASS, PAPER), forecast=forecast_of(0.05)))
    assert not enough
    assert steps[0] == "Not yet: label as many photos again."


def test_a_wide_interval_is_not_enough() -> None:
    accuracy = SOLID.accuracy.model_copy(update={"interval": Interval(low=0.75, high=0.98)})
    enough, _ = advise(
        replace(SOLID, accuracy=accuracy, per_class=(GLASS, PAPER), forecast=forecast_of(0.001))
    )
    assert not enough


def test_few_days_are_asked_to_be_more() -> None:
    narrow = class_of("paper", 60, 0.5, 0.99, groups=2)
    _, steps = advise(replace(SOLID, per_class=(GLASS, narrow), forecast=forecast_of(0.001)))
    assert steps[0] == "Not yet: label 60 more of 'paper' of other days or places."


def test_suspects_pairs_and_promises_follow() -> None:
    suspects = [
        Suspect(photo=str(place), label="glass", proposed="paper", score=score)
        for place, score in enumerate((0.99, 0.95, 0.6))
    ]
    pair = InseparablePair(
        first="cup", second="mug", photos=80, right=41, interval=Interval(low=0.4, high=0.6)
    )
    calibration = SOLID.calibration.model_copy(update={"threshold": None})
    _, steps = advise(
        replace(
            SOLID,
            per_class=(GLASS, PAPER),
            forecast=forecast_of(0.001),
            suspects=suspects,
            inseparable=(pair,),
            calibration=calibration,
        )
    )
    assert steps[1:] == (
        (
            "'cup' and 'mug' cannot be told apart: of 80 photos 41 are assigned to the right one. "
            "Join the two, or take closer photos."
        ),
        "Check the labels of 2 photos, which the others contradict.",
        "A precision of 95 % cannot be promised yet.",
    )


def test_a_label_that_all_photos_have_needs_photos_without_it() -> None:
    always = class_of("lid", 30, 0.9, 0.99).model_copy(update={"held_out": 0})
    _, steps = advise(replace(SOLID, is_multi=True, per_class=(always,)))
    assert steps == ("Not yet: add photos without 'lid', so that it can be judged.",)


def test_one_label_is_enough_for_photos_with_several() -> None:
    _, steps = advise(replace(SOLID, is_multi=True, per_class=(GLASS,), forecast=forecast_of(0.0)))
    assert steps == ("Enough: twice the labels would likely bring a bit.",)


def test_bursts_of_one_class_each_are_named() -> None:
    bursts = [
        class_of(name, 30, 0.9, 0.99, groups=1).model_copy(update={"held_out": 0})
        for name in ("cup", "mug")
    ]
    _, steps = advise(replace(SOLID, groups=2, per_class=bursts))
    assert [step.split(" are ")[0] for step in steps] == [
        "Not yet: all photos of 'cup'",
        "Not yet: all photos of 'mug'",
    ]
