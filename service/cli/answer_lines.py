"""How an answer reads in a terminal: the summary on one line, the predictions below if wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from service.cli.percent import percent

if TYPE_CHECKING:
    from service.core.imaging.answer import Classification, Named, Prediction, Summary

GUESSES = 2
"""Predictions that "not sure" shows."""


def summary_line(answer: Classification) -> str:
    """Write the line of an answer that a person should read first.

    "cat 98.0%, perhaps Egyptian cat 70.1%", "not sure (fire engine 31.0%, tow truck 22.0%)"; of a
    multi-label model all labels present, with the scores of those that are among the predictions.
    """
    if answer.labels_present is not None:
        return _present(answer.labels_present, answer.predictions)
    if answer.summary is None:
        return f"not sure ({_listed(answer.predictions[:GUESSES])})"
    line = _scored(answer.summary)
    perhaps = answer.summary.perhaps
    return f"{line}, perhaps {_scored(perhaps)}" if perhaps else line


def prediction_lines(predictions: Iterable[Prediction]) -> Iterator[str]:
    """One a line, indented, for below the summary."""
    return (f"  {_scored(one)}" for one in predictions)


def _present(labels: list[str], predictions: list[Prediction]) -> str:
    if not labels:
        return "none of its labels"
    known = {one.label: one for one in predictions}
    return ", ".join(_scored(known[label]) if label in known else label for label in labels)


def _listed(predictions: list[Prediction]) -> str:
    return ", ".join(map(_scored, predictions))


def _scored(one: Summary | Named | Prediction) -> str:
    return f"{one.label} {percent(one.score)}"
