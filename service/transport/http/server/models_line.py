"""The line that tells people at the start which models answer."""

from __future__ import annotations

from collections.abc import Sequence

from service.core.imaging.answer import ModelRef

MOST = 5
"""Models that are named; the log and ``potoo models list`` name all."""


def models_line(answering: Sequence[ModelRef], default: ModelRef | None) -> str:
    """Such as ``imagenet 1 (default), everyday 1``.

    Args:
        answering: what answers for each name, the default model first.
        default: what answers when no model is named; None if none does.
    """
    named = [
        f"{ref.name} {ref.version}{' (default)' if ref == default else ''}"
        for ref in answering[:MOST]
    ]
    if len(answering) > MOST:
        named.append(f"and {len(answering) - MOST} more")
    line = ", ".join(named)
    return line if default else f"{line} (no default: calls must name one)"
