"""Failures of a store (accounts, rates): counted, and logged with the reason.

A failing store fails on every request, so equal reasons are logged once a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics

REPEAT_SECONDS = 60.0
"""Interval of log lines with the same reason; every failure is counted."""


class StoreWatch:
    """Counter and log of one way to use one store."""

    def __init__(
        self,
        metrics: Metrics,
        store: str,
        *,
        fails: str,
        works: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the counter.

        Args:
            store: the label, one of ``metrics.STORES``.
            fails: the event to log for a failure.
            works: the event to log when the store works again.
            clock: monotonic seconds.
        """
        self._counter = metrics.store_failures.labels(store)
        self._fails, self._works, self._clock = fails, works, clock
        self._reason: str | None = None
        self._repeat_at = 0.0

    def failed(self, reason: str) -> None:
        """Count a failure, and log its reason (one line, no secret)."""
        self._counter.inc()
        now = self._clock()
        if reason == self._reason and now < self._repeat_at:
            return
        self._reason, self._repeat_at = reason, now + REPEAT_SECONDS
        get_logger("auth").error(self._fails, reason=reason)

    def worked(self) -> None:
        """Log that the store works again, if it failed before."""
        if self._reason is not None:
            self._reason = None
            get_logger("auth").info(self._works)
