"""Names of the ImageNet classes: complete, ordered, unambiguous, grouped."""

from __future__ import annotations

import csv
import re
from collections import Counter
from importlib.resources import files

import pytest

from service.core.imaging.hedging import Hierarchy
from service.modeltools.imagenet.names import ClassNames, class_names
from tests.support.repository import SHARED

LIST = SHARED / "labels" / "imagenet_labels_1000.txt"
WELL_KNOWN = {
    0: "tench",
    1: "goldfish",
    2: "great white shark",
    22: "bald eagle",
    71: "scorpion",
    99: "goose",
    130: "flamingo",
    151: "Chihuahua",
    207: "golden retriever",
    235: "German shepherd",
    258: "Samoyed",
    281: "tabby cat",
    285: "Egyptian cat",
    291: "lion",
    340: "zebra",
    366: "gorilla",
    388: "giant panda",
    404: "airliner",
    409: "analogue clock",
    508: "computer keyboard",
    555: "fire engine",
    620: "laptop",
    673: "computer mouse",
    717: "pickup truck",
    779: "school bus",
    817: "sports car",
    850: "teddy bear",
    879: "umbrella",
    916: "website",
    947: "mushroom",
    954: "banana",
    963: "pizza",
    980: "volcano",
    985: "daisy",
    999: "toilet tissue",
}


@pytest.fixture(scope="module")
def names() -> ClassNames:
    return class_names()


def path(names: ClassNames, label: str) -> list[str]:
    steps = [label]
    while steps[-1] in names.groups:
        steps.append(names.groups[steps[-1]])
    return steps[1:]


def basic_groups(names: ClassNames) -> set[str]:
    return names.groups.keys() - set(names.labels)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", text.lower()))


def test_thousand_labels_are_unique_ignoring_case(names: ClassNames) -> None:
    assert len({label.lower() for label in names.labels}) == len(names.labels) == 1000


@pytest.mark.parametrize("file", ["classes.csv", "groups.csv"])
def test_csv_cells_have_no_stray_whitespace_or_gaps(file: str) -> None:
    text = files("service.modeltools.imagenet").joinpath(file).read_text("utf-8")
    rows = list(csv.reader(text.splitlines()))
    parts = [part for row in rows for cell in row for part in cell.split("|")]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [part for part in parts if part != " ".join(part.split())] == []
    assert all(row[:-1] == [cell for cell in row[:-1] if cell] for row in rows)


def test_indices_count_from_0_to_999() -> None:
    text = files("service.modeltools.imagenet").joinpath("classes.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    assert [row["index"] for row in rows] == [str(index) for index in range(1000)]


@pytest.mark.parametrize(("index", "label"), WELL_KNOWN.items())
def test_well_known_index_has_its_label(names: ClassNames, index: int, label: str) -> None:
    assert names.labels[index] == label


def test_hierarchy_accepts_the_groups(names: ClassNames) -> None:
    hierarchy = Hierarchy(names.labels, names.groups)
    assert len(hierarchy.levels) == 2
    assert 10 <= len(hierarchy.levels[1].names) <= 16
    assert 95 <= len(basic_groups(names)) <= 130


def test_every_label_is_in_a_wide_group(names: ClassNames) -> None:
    depths = {label: len(path(names, label)) for label in names.labels}
    assert set(depths.values()) == {1, 2}


def test_every_basic_group_holds_at_least_two_labels(names: ClassNames) -> None:
    sizes = Counter(names.groups[label] for label in names.labels)
    assert {group for group in basic_groups(names) if sizes[group] < 2} == set()


def test_every_wide_group_holds_at_least_three_labels(names: ClassNames) -> None:
    sizes = Counter(path(names, label)[-1] for label in names.labels)
    assert {group for group, size in sizes.items() if size < 3} == set()


def test_wide_group_never_mixes_labels_and_groups(names: ClassNames) -> None:
    direct = {steps[0] for label in names.labels if len(steps := path(names, label)) == 1}
    through = {names.groups[group] for group in basic_groups(names)}
    assert direct & through == set()


def test_synonym_belongs_to_one_label(names: ClassNames) -> None:
    synonyms = [name.lower() for some in names.synonyms.values() for name in some]
    taken = {name.lower() for name in (*names.groups, *names.groups.values())}
    assert [name for name, count in Counter(synonyms).items() if count > 1] == []
    assert set(synonyms) & taken == set()
    assert names.synonyms.keys() <= set(names.labels)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Egyptian cat", ["cat", "animal"]),
        ("golden retriever", ["dog", "animal"]),
        ("great grey owl", ["bird", "animal"]),
        ("daisy", ["flower", "plant"]),
        ("rapeseed", ["flower", "plant"]),
        ("yellow lady's slipper", ["flower", "plant"]),
        ("banana", ["fruit", "food"]),
        ("T-shirt", ["shirt or sweater", "clothing or accessory"]),
        ("water bottle", ["bottle", "container"]),
        ("sports car", ["car", "vehicle"]),
        ("volcano", ["landscape"]),
    ],
)
def test_label_has_its_expected_groups(names: ClassNames, label: str, expected: list[str]) -> None:
    assert path(names, label) == expected


def test_label_order_matches_the_reference_list(names: ClassNames) -> None:
    if not LIST.exists():
        pytest.skip("the usual list of labels is not beside the checkout")
    lines = LIST.read_text("utf-8").splitlines()
    strangers = [
        (label, line)
        for label, line in zip(names.labels, lines, strict=True)
        if not words(" ".join((label, *names.synonyms.get(label, ())))) & words(line)
    ]
    assert strangers == []
