"""Errors that the operator of Potoo can fix; callers never see them."""

from __future__ import annotations

from pydantic import ValidationError


class OperatorError(Exception):
    """Ends a command or the start of the server; only its message is printed.

    The message is one or a few lines: what is wrong, where, and how to fix it.
    """


def first_fault(error: ValidationError, whole: str) -> str:
    """``field: message`` of a document's first fault; ``whole`` replaces an empty field path."""
    first = error.errors(include_url=False)[0]
    # Pydantic also adds the alternatives of a union to the path, in brackets or by their type.
    parts = [str(part) for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    return f"{'.'.join(parts) or whole}: {first['msg']}"
