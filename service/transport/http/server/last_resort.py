"""Ends the process for good: at once if it is told to stop twice, else when its grace is over.

A thread, because whatever hangs may be the event loop; and not a signal's handler, which may
interrupt whoever holds the log's lock.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from observability.logging import get_logger

GRACE_SECONDS = 3.0
"""To close the store and the models, once the time to drain is over."""
LOG_SECONDS = 1.0
"""To say so."""
TOGETHER_SECONDS = 0.25
"""Signals so close together are one: ``timeout`` and some shells send to the process and again to
its group."""


class LastResort(threading.Thread):
    """Sleeps until it is needed, which is nearly never."""

    def __init__(self, grace: float) -> None:
        """``grace``: seconds from the first signal on in which the process should end by itself."""
        super().__init__(name="potoo-last-resort", daemon=True)
        self._grace = grace
        self._began: float | None = None
        self._is_final = False
        self._status = 0
        self._told, self._told_again = threading.Event(), threading.Event()

    def tell(self, number: int) -> bool:
        """Called for every signal that stops; whether it is the first one. Does not block."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._status = now, exit_status(number)
            self._told.set()
            return True
        # Once alone: a signal may interrupt this very call, and an event's lock is held but once.
        if not self._is_final and now - self._began > TOGETHER_SECONDS:
            self._is_final = True
            self._told_again.set()
        return False

    def run(self) -> None:
        """Waits for the first signal, and then for what is needed first."""
        self._told.wait()
        is_told = self._told_again.wait(self._grace)
        reason = "a second signal" if is_told else "the time to drain is over"
        # What hangs may be whoever writes the log, with its lock: nobody reads it any more.
        saying = threading.Thread(target=log_end, args=(reason,), daemon=True)
        saying.start()
        saying.join(LOG_SECONDS)
        os._exit(self._status)


def log_end(reason: str) -> None:
    """Says that what is under way is given up."""
    get_logger("server").warning("stopped for good", reason=reason)


def exit_status(number: int) -> int:
    """As shells report a process that died by a signal."""
    return 128 + signal.Signals(number)
