"""Draws a confusion matrix as a PNG."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from schemas.operator_error import OperatorError
from service.modeltools.measuring.evaluation import ClassFigures, Evaluation

MAX_CLASSES = 30
OTHERS = "others"
_CELL, _MARGIN, _FONT, _LONGEST = 30, 12, 12, 24
_RIGHT, _WRONG = (40, 110, 190), (215, 90, 40)
_INK, _PAPER, _LINES = (30, 30, 30), (255, 255, 255), (225, 225, 225)

Colour = tuple[int, int, int]


class NothingToDraw(OperatorError):
    """The evaluation has no classes. The message is for people."""


def draw_confusion(evaluation: Evaluation, file: Path) -> None:
    """Write the picture: a row for each class, a column for each answer.

    At most ``MAX_CLASSES`` classes are shown, those confused most; all other answers count in the
    column ``OTHERS``.

    Raises:
        NothingToDraw: the evaluation has no classes.
        OSError: the file cannot be written.
    """
    if not evaluation.classes:
        message = "cannot draw confusions: no image has a label that the model knows"
        raise NothingToDraw(message)
    shown = _most_confused(evaluation.classes)
    columns = list(dict.fromkeys(found.name for found in shown))
    # A frequent answer may be a group, which has no row.
    answers = Counter[str]()
    for found in shown:
        answers.update(dict(found.wrong_answers))
    room = MAX_CLASSES - len(columns)
    columns += [name for name, _ in answers.most_common() if name not in columns][:room]
    columns.append(OTHERS)
    rows = [(found.name, found.right.of, _cells(found, columns)) for found in shown]
    total = len(evaluation.classes)
    title = f"{len(shown)} of {total} classes; rows: what it is, columns: what the model says"
    _draw(title, columns, rows).save(file, "PNG")


def _most_confused(classes: tuple[ClassFigures, ...]) -> list[ClassFigures]:
    """Select the classes with the most mistakes, as truth or as answer, sorted by name."""
    mistakes = Counter({found.name: 0 for found in classes})
    for found in classes:
        for name, count in found.wrong_answers:
            mistakes[found.name] += count
            mistakes[name] += count
    chosen = sorted(classes, key=lambda found: (-mistakes[found.name], found.name))
    return sorted(chosen[:MAX_CLASSES], key=lambda found: found.name.casefold())


def _cells(found: ClassFigures, columns: list[str]) -> list[int]:
    """Count the answers by column; right ones are in the class's own column."""
    wrong = dict(found.wrong_answers)
    counts = [
        found.right.count if name == found.name else wrong.get(name, 0) for name in columns[:-1]
    ]
    return [*counts, found.right.of - sum(counts)]


def _draw(title: str, columns: list[str], rows: list[tuple[str, int, list[int]]]) -> Image.Image:
    font = ImageFont.load_default(_FONT)
    names = [_short(name) for name in (*columns, *(name for name, _, _ in rows))]
    label = max(int(font.getlength(name)) for name in names) + _MARGIN
    left, top = _MARGIN + label, 3 * _MARGIN + label
    width = max(left + len(columns) * _CELL, int(font.getlength(title)) + _MARGIN) + _MARGIN
    picture = Image.new("RGB", (width, top + len(rows) * _CELL + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN, _MARGIN), title, _INK, font)
    for place, name in enumerate(columns):
        upright = Image.new("RGB", (label, _CELL), _PAPER)
        ImageDraw.Draw(upright).text((2, _CELL / 2), _short(name), _INK, font, "lm")
        turned = upright.transpose(Image.Transpose.ROTATE_90)
        picture.paste(turned, (left + place * _CELL, top - label))
    for row, (name, images, counts) in enumerate(rows):
        upper = top + row * _CELL
        pen.text((left - 6, upper + _CELL / 2), _short(name), _INK, font, "rm")
        for place, count in enumerate(counts):
            full = _RIGHT if columns[place] == name else _WRONG
            share = count / images
            x = left + place * _CELL
            pen.rectangle((x, upper, x + _CELL, upper + _CELL), _between(full, share), _LINES)
            if count:
                ink = _PAPER if share > 0.5 else _INK
                centre = (x + _CELL / 2, upper + _CELL / 2)
                pen.text(centre, str(count), ink, font, "mm")
    return picture


def _between(full: Colour, share: float) -> Colour:
    """Interpolate from white at 0 to the full colour at 1."""
    red, green, blue = (
        round(white + share * (part - white)) for white, part in zip(_PAPER, full, strict=True)
    )
    return red, green, blue


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
