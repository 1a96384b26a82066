"""Priorities of items, and their shares of the worker threads."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """The priority of an item, highest first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


SHARES = {Priority.INTERACTIVE: 16, Priority.NORMAL: 4, Priority.BULK: 1}
"""The lowest is slow, but never starved."""
