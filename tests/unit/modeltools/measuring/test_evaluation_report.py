"""Evaluations as tables and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.modeltools.measuring.evaluation import Evaluation, Share
from service.modeltools.measuring.evaluation_report import as_json, class_table, curve_table, table
from service.modeltools.measuring.measuring import measure
from service.modeltools.measuring.truth import FOREIGN
from tests.support.modeltools.evaluation_kit import hedger, shares, truth

TRUTHS = [truth("tabby"), truth("tabby"), truth("mug"), truth("cat"), FOREIGN]
SHARES = shares(
    (0.875, 0.125, 0, 0, 0),
    (0.25, 0.5, 0.25, 0, 0),
    (0, 0, 0, 0.5, 0.5),
    (0.5, 0.5, 0, 0, 0),
    (0, 0, 1, 0, 0),
)


@pytest.fixture
def found() -> Evaluation:
    return measure(SHARES, TRUTHS, hedger(0.75, 0.75, 0.75))


def squeezed(lines: list[str]) -> list[str]:
    return ["|".join(part.strip() for part in line.split("  ") if part.strip()) for line in lines]


def test_every_figure_shows_its_number_of_images(found: Evaluation) -> None:
    assert squeezed(table(["version 1"], [found])) == [
        "version 1|images",
        "right label (top-1)|66.7%|3",
        "mean of the classes|75.0%|2 classes",
        "right label among the best 5|100.0%|3",
        "right group|100.0%|4",
        "right wider group|100.0%|4",
        "calibration error (ECE)|4.2%|3",
        "log loss, nats|0.738|3",
        "answered|75.0%|4",
        "right of those|100.0%|3",
        "by a label|25.0%|4",
        "right of those|100.0%|1",
        "by a group|50.0%|4",
        "right of those|100.0%|2",
        "by a wider group|0.0%|4",
        "right of those|-|0",
        "below the widest groups|75.0%|4",
        "right of those|100.0%|3",
        "foreign images answered|100.0%|1",
        "below the widest groups|100.0%|1",
        "right of all answers, theirs too|75.0%|4",
    ]


def test_two_versions_are_shown_side_by_side(found: Evaluation) -> None:
    flat = measure(SHARES[:4], TRUTHS[:4], hedger(0.5, groups={}))
    lines = squeezed(table(["a 1", "a 2"], [found, flat]))
    assert lines[0] == "a 1|a 2|difference|images"
    assert "log loss, nats|0.738|0.738|+0.000|3" in lines
    assert "answered|75.0%|100.0%|+25.0|4" in lines
    assert "right of those|100.0%|50.0%|-50.0|3 / 4" in lines
    assert "right group|100.0%|-|-|4 / 0" in lines
    assert "foreign images answered|100.0%|-|-|1 / 0" in lines


def test_table_lines_have_no_trailing_spaces(found: Evaluation) -> None:
    lines = [*table(["v"], [found]), *curve_table(["v"], [found]), *class_table(found)]
    assert [line for line in lines if line != line.rstrip() or len(line) > 100] == []


def test_curve_table_has_one_line_per_point(found: Evaluation) -> None:
    assert squeezed(curve_table(["v"], [found])) == [
        "of the surest images, right|v|score at least",
        "33%|100.0%|0.875",
        "67%|50.0%|0.500",
        "100%|66.7%|0.500",
    ]
    assert curve_table(["v"], [replace(found, curve=())]) == []


def test_class_table_shows_the_most_frequent_wrong_answers(found: Evaluation) -> None:
    assert class_table(found) == [
        "class  images   right  most often instead",
        "tabby       2   50.0%  Egyptian cat (1)",
        "cat         1  100.0%",
        "mug         1  100.0%",
    ]


def test_json_report_gives_shares_with_counts(found: Evaluation) -> None:
    document = as_json(found)
    assert isinstance(document, dict)
    assert document["top1"] == {"share": 0.666667, "count": 2, "of": 3}
    assert document["curve"] == [
        {"coverage": 0.333333, "precision": 1.0, "threshold": 0.875},
        {"coverage": 0.666667, "precision": 0.5, "threshold": 0.5},
        {"coverage": 1.0, "precision": 0.666667, "threshold": 0.5},
    ]
    classes = document["classes"]
    assert isinstance(classes, list)
    assert classes[0] == {
        "name": "tabby",
        "is_label": True,
        "right": {"share": 0.5, "count": 1, "of": 2},
        "wrong_answers": [["Egyptian cat", 1]],
    }
    assert as_json(Share(0, 0)) == {"share": None, "count": 0, "of": 0}


def test_unsupported_value_is_refused_in_json() -> None:
    with pytest.raises(TypeError, match="set has no place"):
        as_json({1})
