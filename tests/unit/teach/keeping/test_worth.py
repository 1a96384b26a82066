"""Which answers make a photo worth a label, and how many are kept in an hour."""

from __future__ import annotations

import pytest

from service.core.imaging.answer import Classification, ImageFacts, Prediction, Timing
from service.teach.keeping.budget import Budget
from service.teach.keeping.worth import Worth, worth_of


def answer(
    *scores: tuple[str, float], abstained: bool = False, present: list[str] | None = None
) -> Classification:
    predictions = [Prediction(label, number, score) for number, (label, score) in enumerate(scores)]
    facts, timing = ImageFacts("png", 1, 1), Timing(1, 1, 1, 3)
    return Classification(None, predictions, present, abstained, True, facts, timing)  # noqa: FBT003


@pytest.mark.parametrize(
    ("given", "worth"),
    [
        (answer(("glass", 0.97), ("paper", 0.02)), None),
        (answer(("glass", 0.7), ("paper", 0.1)), Worth.UNSURE),
        (answer(("glass", 0.9), ("paper", 0.05), abstained=True), Worth.UNSURE),
        (answer(("glass", 0.85), ("paper", 0.8)), Worth.NARROW),
        (answer(("glass", 0.85), ("paper", 0.8), present=["glass", "paper"]), None),
        (answer(("unknown", 0.9), ("paper", 0.05)), Worth.UNKNOWN),
        (answer(("glass", 0.9)), None),
        (answer(), None),
    ],
)
def test_worth_follows_the_answer(given: Classification, worth: Worth | None) -> None:
    assert worth_of(given, ("unknown",), below=0.8, margin=0.2) is worth


def test_budget_is_of_the_last_hour_and_of_each_source() -> None:
    now = [0.0]
    budget = Budget(2, lambda: now[0])
    for _ in range(2):
        assert budget.has_room("door")
        budget.spend("door")
        now[0] += 600
    assert not budget.has_room("door")
    assert budget.has_room("gate")
    now[0] = 3599
    assert not budget.has_room("door")
    now[0] = 3600
    assert budget.has_room("door")
    budget.spend("door")
    assert not budget.has_room("door")
