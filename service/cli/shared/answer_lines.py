"""Format a classification for the terminal: a summary line, and lines of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from service.cli.shared.percent import percent

if TYPE_CHECKING:
    from service.core.imaging.answer import Classification, Named, Prediction, Summary

GUESSES = 2
"""Number of predictions shown with "not sure"."""


def summary_line(answer: Classification) -> str:
    """Format the summary of a classification.

    "cat 98.0%, perhaps Egyptian cat 70.1%", "not sure (fire engine 31.0%, tow truck 22.0%)". For
    multi-label models: all labels present, with scores if they are among the predictions.
    """
    if answer.labels_present is not None:
        return _present(answer.labels_present, answer.predictions)
    if answer.summary is None:
        return f"not sure ({_listed(answer.predictions[:GUESSES])})"
    line = _scored(answer.summary)
    perhaps = answer.summary.perhaps
    return f"{line}, perhaps {_scored(perhaps)}" if perhaps else line


def prediction_lines(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Format one prediction per line, indented."""
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
