"""Which answers to an image are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.modeltools.measuring.sample_images import SampleImage
from service.modeltools.measuring.truth import FOREIGN, Truth, right_answers, truths_of
from tests.support.modeltools.evaluation_kit import GROUPS, LABELS


@pytest.mark.parametrize(
    ("names", "right"),
    [
        (("tabby",), {"tabby", "cat", "animal"}),
        (("cat",), {"cat", "animal"}),
        (("animal",), {"animal"}),
        (("sky",), {"sky"}),
        (("tabby", "beagle"), {"tabby", "beagle", "cat", "dog", "animal"}),
        ((), set()),
    ],
)
def test_name_and_its_groups_are_right_answers(names: tuple[str, ...], right: set[str]) -> None:
    assert right_answers(names, GROUPS) == right


def test_truth_distinguishes_labels_from_groups() -> None:
    truth = Truth.of(("cat", "beagle", "tabby"), LABELS, GROUPS)
    assert truth.labels == (0, 2)
    assert truth.title == "cat|beagle|tabby"
    assert not truth.is_foreign


def test_images_without_names_are_foreign() -> None:
    named = SampleImage(Path("a.jpg"), 3, ("mug",))
    nameless = SampleImage(Path("b.jpg"), None)
    found = truths_of([named, nameless, named], LABELS, GROUPS)
    assert found == [Truth(("mug",), (3,), frozenset({"mug"})), FOREIGN, found[0]]
    assert found[1].is_foreign
