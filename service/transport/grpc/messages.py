"""Parts of answers that several methods share, as messages."""

from __future__ import annotations

from schemas.pb import potoo_pb2 as pb
from service.core.imaging.answer import Summary


def summary_message(found: Summary | None) -> pb.Summary | None:
    """Convert a summary to a message; None leaves the field out."""
    if found is None:
        return None
    perhaps = found.perhaps
    return pb.Summary(
        label=found.label,
        score=found.score,
        level=found.level,
        perhaps=pb.Named(label=perhaps.label, score=perhaps.score) if perhaps else None,
    )
