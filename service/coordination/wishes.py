"""Wishes of a process for what only another one knows: stored as the time until they hold.

Flash is not written while nobody looks: a process that shows a report asks for fresh ones for a
while, and the one that has it sees that at its next look.
"""

from __future__ import annotations

WANTED_SECONDS = 30.0
"""How long a report is kept fresh after it was asked for."""
AGAIN_SECONDS = 10.0
"""The wish is stored again when less than this is left of it."""


def is_wanted(until: float, now: float) -> bool:
    """Return whether something is wanted now, in seconds since the epoch.

    A time further away than a wish lasts is from before the clock was set back.
    """
    return now < until <= now + 2 * WANTED_SECONDS


def is_fresh(until: float, now: float) -> bool:
    """Return whether a wish need not be stored again yet."""
    return is_wanted(until - AGAIN_SECONDS, now)
