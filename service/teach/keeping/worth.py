"""Whether a photo is worth a label, by its answer."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from service.core.imaging.answer import Classification


class Worth(StrEnum):
    """Why a photo is worth a label. Labels a metric."""

    UNKNOWN = "unknown"
    """It is unlike what the model was shown."""
    UNSURE = "unsure"
    """The model abstained, or its first score is low."""
    NARROW = "narrow"
    """The second score is near the first one."""


def worth_of(
    answer: Classification, unknown: Collection[str], *, below: float, margin: float
) -> Worth | None:
    """Return why a photo is worth a label; None: it is not.

    Args:
        unknown: labels that mean that the picture shows something else.
        below: first scores below it are low.
        margin: a difference of the first two scores below it is small. Models that give several
            labels to a photo have no margin.
    """
    predictions = answer.predictions
    if not predictions:
        return None
    first = predictions[0]
    if first.label in unknown:
        return Worth.UNKNOWN
    if answer.abstained or first.score < below:
        return Worth.UNSURE
    is_single = answer.labels_present is None
    if is_single and len(predictions) > 1 and first.score - predictions[1].score < margin:
        return Worth.NARROW
    return None
