"""The picture of confusions."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from service.modeltools.measuring.confusion_picture import (
    MAX_CLASSES,
    NothingToDraw,
    draw_confusion,
)
from service.modeltools.measuring.evaluation import Evaluation
from service.modeltools.measuring.measuring import measure
from service.modeltools.measuring.truth import Truth
from tests.support.modeltools.evaluation_kit import hedger, shares, truth

CELL = 30


def opened(evaluation: Evaluation, folder: Path) -> Image.Image:
    draw_confusion(evaluation, folder / "confusion.png")
    with Image.open(folder / "confusion.png") as picture:
        assert picture.format == "PNG"
        return picture.convert("RGB")


def cell(picture: Image.Image, rows: int, columns: int, row: int, column: int) -> object:
    """The colour in a cell's corner, counted from the lower right one."""
    x = picture.width - 12 - (columns - column) * CELL + 3
    y = picture.height - 12 - (rows - row) * CELL + 3
    return picture.getpixel((x, y))


def test_correct_cells_are_blue_and_wrong_ones_orange(tmp_path: Path) -> None:
    names = [*["tabby, with a long enough name"] * 2, "mug"]
    labels = (names[0], "mug", "another label that makes the picture as wide as its title is")
    truths = [Truth.of((name,), labels, {}) for name in names]
    rows = [(1, 0, 0), (1, 0, 0), (1, 0, 0)]
    found = measure(shares(*rows), truths, hedger(labels=labels, groups={}))
    picture = opened(found, tmp_path)
    assert picture.height < 400
    colours = {colour for _, colour in picture.getcolors(1_000_000) or []}
    assert (40, 110, 190) in colours
    assert (215, 90, 40) in colours


def test_most_confused_of_many_classes_are_drawn(tmp_path: Path) -> None:
    labels = tuple(f"class {number:02}" for number in range(100))
    truths = [Truth.of((label,), labels, {}) for label in labels]
    rows = [
        [float(k == (n + 1) % 100 if n < 50 else k == n) for k in range(100)] for n in range(100)
    ]
    found = measure(shares(*rows), truths, hedger(labels=labels, groups={}))
    picture = opened(found, tmp_path)
    assert picture.width < 300 + (MAX_CLASSES + 1) * CELL
    # The first label is never right: its own cell is white, the next one full.
    assert cell(picture, MAX_CLASSES, MAX_CLASSES + 1, 1, 1) == (255, 255, 255)
    assert cell(picture, MAX_CLASSES, MAX_CLASSES + 1, 1, 2) == (215, 90, 40)


def test_wrong_answers_outside_the_classes_get_columns(tmp_path: Path) -> None:
    found = measure(shares((0, 0, 1, 0, 0)), [truth("cat")], hedger())
    assert found.classes[0].wrong_answers == (("dog", 1),)
    assert opened(found, tmp_path).height > CELL


def test_evaluation_without_classes_cannot_be_drawn(tmp_path: Path) -> None:
    nothing = measure(shares((1, 0, 0, 0, 0)), [Truth.of((), (), {})], hedger())
    with pytest.raises(NothingToDraw, match="cannot draw confusions"):
        draw_confusion(nothing, tmp_path / "confusion.png")
    assert list(tmp_path.iterdir()) == []
