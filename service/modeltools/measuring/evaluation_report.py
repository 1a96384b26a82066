"""Evaluations as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass

from service.modeltools.measuring.evaluation import Evaluation, ForeignFigures, LevelFigures, Share

_TITLE, _COLUMN, _IMAGES = 34, 13, 16

_NONE = Share(0, 0)

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Sides = Sequence[Evaluation]


def table(titles: Sequence[str], sides: Sides) -> list[str]:
    """Format the figures as lines of text; the last column counts the images behind each.

    Args:
        titles: of the columns.
        sides: one evaluation, or two, shown with their difference in points.
    """
    means = _percentages([side.mean_per_class for side in sides])
    classes = _counts([sum(found.is_label for found in side.classes) for side in sides])
    labelled = _counts([side.labelled for side in sides])
    errors = _percentages([side.expected_calibration_error for side in sides])
    losses = _numbers([side.negative_log_likelihood for side in sides])
    levels = range(max(len(side.levels) for side in sides))
    return [
        _line("", [*titles, *["difference"] * (len(sides) == 2)], "images"),
        _shares("right label (top-1)", [side.top1 for side in sides]),
        _line("  mean of the classes", means, f"{classes} classes"),
        _shares("right label among the best 5", [side.top5 for side in sides]),
        *[
            _shares(f"right {_level(number)}", [_of_level(side, number).top1 for side in sides])
            for number in levels[1:]
        ],
        _line("calibration error (ECE)", errors, labelled),
        _line("log loss, nats", losses, labelled),
        _shares("answered", [side.answered for side in sides]),
        _shares("  right of those", [side.precision for side in sides]),
        *(_answers_by_level(sides, levels) if len(levels) > 1 else []),
        *(_foreign(sides, levels) if any(side.foreign for side in sides) else []),
    ]


def _answers_by_level(sides: Sides, levels: Sequence[int]) -> list[str]:
    lines = []
    for number in levels:
        found = [_of_level(side, number) for side in sides]
        lines += [
            _shares(f"  by a {_level(number)}", [each.answered for each in found]),
            _shares("    right of those", [each.precision for each in found]),
        ]
    return [
        *lines,
        _shares("  below the widest groups", [side.answered_below for side in sides]),
        _shares("    right of those", [side.precision_below for side in sides]),
    ]


def _foreign(sides: Sides, levels: Sequence[int]) -> list[str]:
    found = [side.foreign or ForeignFigures(_NONE, _NONE) for side in sides]
    below = _shares("  below the widest groups", [each.answered_below for each in found])
    return [
        _shares("foreign images answered", [each.answered for each in found]),
        *[below] * (len(levels) > 1),
        _shares(
            "right of all answers, theirs too", [side.precision_with_foreign for side in sides]
        ),
    ]


def curve_table(titles: Sequence[str], sides: Sides) -> list[str]:
    """Format precision against coverage: precision of the label on the most confident images."""
    rows = [_line("of the surest images, right", list(titles), "score at least")]
    for points in zip(*(side.curve for side in sides), strict=False):
        scores = " / ".join(f"{point.threshold:.3f}" for point in points)
        shown = [f"{point.precision:.1%}" for point in points]
        rows.append(_line(f"{points[0].coverage:>5.0%}", shown, scores))
    return rows if len(rows) > 1 else []


def class_table(evaluation: Evaluation) -> list[str]:
    """Format a line a class: images, share of right ones, most frequent wrong answer."""
    width = max((len(found.name) for found in evaluation.classes), default=0)
    rows = [f"{'class':<{width}}  images   right  most often instead"]
    for found in evaluation.classes:
        instead = ", ".join(f"{name} ({count})" for name, count in found.wrong_answers[:1])
        right = found.right.count / found.right.of
        rows.append(
            f"{found.name:<{width}}  {found.right.of:>6}  {right:>6.1%}  {instead}".rstrip()
        )
    return rows


def as_json(value: object) -> Json:
    """Convert to JSON: dataclasses as objects, shares with their value, numbers to 6 decimals."""
    if isinstance(value, Share):
        return {"share": as_json(value.value), "count": value.count, "of": value.of}
    if is_dataclass(value):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, float):
        return round(value, 6)
    if value is None or isinstance(value, str | int):
        return value
    message = f"{type(value).__name__} has no place in a report"
    raise TypeError(message)


def _level(number: int) -> str:
    return ("label", "group", "wider group")[number] if number < 3 else f"group of level {number}"


def _of_level(side: Evaluation, number: int) -> LevelFigures:
    if number < len(side.levels):
        return side.levels[number]
    return LevelFigures(number, _NONE, _NONE, _NONE)


def _shares(title: str, found: Sequence[Share]) -> str:
    return _line(
        title, _percentages([each.value for each in found]), _counts([each.of for each in found])
    )


def _percentages(values: Sequence[float | None]) -> list[str]:
    return _cells(values, "{:.1%}", lambda points: f"{100 * points:+.1f}")


def _numbers(values: Sequence[float | None]) -> list[str]:
    return _cells(values, "{:.3f}", "{:+.3f}".format)


def _cells(
    values: Sequence[float | None], form: str, difference: Callable[[float], str]
) -> list[str]:
    """Format the values, and the difference second minus first if there are two."""
    known = [value for value in values if value is not None]
    cells = ["-" if value is None else form.format(value) for value in values]
    if len(values) == 2:
        cells.append(difference(known[1] - known[0]) if len(known) == 2 else "-")
    return cells


def _counts(counts: Sequence[int]) -> str:
    return " / ".join(map(str, dict.fromkeys(counts)))


def _line(title: str, columns: Sequence[str], images: str) -> str:
    cells = "".join(f"{column:>{_COLUMN}}" for column in columns)
    return f"{title:<{_TITLE}}{cells}{images:>{_IMAGES}}".rstrip()
