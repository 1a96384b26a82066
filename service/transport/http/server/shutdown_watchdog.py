"""Forced end of the process: at once on a second stop signal, else when the grace time is over.

A thread, because the event loop may hang; not a signal handler, which may interrupt the holder of
the log's lock.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from observability.logs.logging import get_logger

GRACE_SECONDS = 3.0
"""Time to close the store and the models, once the time to drain is over."""
LOG_SECONDS = 1.0
"""Time to log the forced end."""
TOGETHER_SECONDS = 0.25
"""Signals this close together count as one: ``timeout`` and some shells signal the process and then
its group."""


class ShutdownWatchdog(threading.Thread):
    """Thread that ends the process if it does not end by itself."""

    def __init__(self, grace: float) -> None:
        """Create the thread; ``grace``: seconds from the first signal for the process to end."""
        super().__init__(name="potoo-shutdown-watchdog", daemon=True)
        self._grace = grace
        self._began: float | None = None
        self._is_final = False
        self._status = 0
        self._first_signal, self._second_signal = threading.Event(), threading.Event()

    def note_signal(self, number: int) -> bool:
        """Record a stop signal; return whether it is the first one. Does not block."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._status = now, exit_status(number)
            self._first_signal.set()
            return True
        # Set only once: a signal may interrupt this call, and an event's lock is not reentrant.
        if not self._is_final and now - self._began > TOGETHER_SECONDS:
            self._is_final = True
            self._second_signal.set()
        return False

    def run(self) -> None:
        """End the process at a second signal, or after the grace time from the first one on."""
        self._first_signal.wait()
        is_second = self._second_signal.wait(self._grace)
        reason = "a second signal" if is_second else "the time to drain is over"
        # A log write may hang and hold the lock if the reader of the log has stopped.
        saying = threading.Thread(target=log_end, args=(reason,), daemon=True)
        saying.start()
        saying.join(LOG_SECONDS)
        os._exit(self._status)


def log_end(reason: str) -> None:
    """Log that unfinished work is dropped."""
    get_logger("server").warning("forced exit", reason=reason)


def exit_status(number: int) -> int:
    """Return the exit status that shells report for a process that died by a signal."""
    return 128 + signal.Signals(number)
