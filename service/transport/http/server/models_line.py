"""The start-up line that names the served models."""

from __future__ import annotations

from collections.abc import Sequence

from service.core.imaging.answer import ModelRef

MOST = 5
"""Maximum number of models in the line; the log and ``potoo models list`` name all."""


def models_line(answering: Sequence[ModelRef], default: ModelRef | None) -> str:
    """Return a line such as ``imagenet 1 (default), everyday 1``.

    Args:
        answering: the model that answers for each name, the default model first.
        default: the model that answers calls without a name; None if there is no default.
    """
    named = [
        f"{ref.name} {ref.version}{' (default)' if ref == default else ''}"
        for ref in answering[:MOST]
    ]
    if len(answering) > MOST:
        named.append(f"and {len(answering) - MOST} more")
    line = ", ".join(named)
    return line if default else f"{line} (no default: calls must name one)"
