"""What the steps of an optimisation share: how they report progress, and their refusal."""

from __future__ import annotations

from collections.abc import Callable

from schemas.operator_error import OperatorError

Progress = Callable[[str, int, int], None]
"""Progress callback: the activity, the count done, the total."""


class NotOptimised(OperatorError):
    """No acceptable faster version could be made. The message is for people."""
