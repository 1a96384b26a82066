"""Faults that whoever runs Potoo can mend; callers never see them."""

from __future__ import annotations

from pydantic import ValidationError


class OperatorError(Exception):
    """The message is one line or a few for people: what is wrong, where, and what to do about it.

    A start, or a command, fails with it and nothing else.
    """


def first_fault(error: ValidationError, whole: str) -> str:
    """``field: message`` of the first fault in a document; ``whole``: what it is as such."""
    first = error.errors(include_url=False)[0]
    # Pydantic names the alternatives of a union too, in brackets or by their type.
    parts = [str(part) for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    return f"{'.'.join(parts) or whole}: {first['msg']}"
