"""Faults that whoever runs Potoo can mend; callers never see them."""

from __future__ import annotations


class OperatorError(Exception):
    """The message is one line or a few for people: what is wrong, where, and what to do about it.

    A start, or a command, fails with it and nothing else.
    """
