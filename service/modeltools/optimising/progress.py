"""Progress reports and the refusal of an optimisation, shared by its steps."""

from __future__ import annotations

from collections.abc import Callable

from schemas.operator_error import OperatorError

Progress = Callable[[str, int, int], None]
"""Progress callback: the activity, the count done, the total."""


class NotOptimised(OperatorError):
    """No acceptable faster version could be made. The message is for people."""
