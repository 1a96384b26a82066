"""Options of configurations of cameras and sensors, and their faults in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service.cli.shared_options import fail

if TYPE_CHECKING:
    from pydantic import ValidationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return a duration such as ``500ms``, ``10s`` or ``2m`` in seconds."""
    if not (found := _DURATION.fullmatch(text)):
        fail(f"{text} is no duration: write 500ms, 10s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def agreement(text: str) -> tuple[int, int]:
    """Return the two numbers of an agreement such as ``2/3``."""
    if not (found := re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)):
        fail("--agree is written like 2/3")
    return int(found[1]), int(found[2])


def number(text: str, option: str) -> float:
    """Return a number; ``option``: its name, for the message."""
    try:
        return float(text)
    except ValueError:
        fail(f"{option}: {text} is no number")


def explain(error: ValidationError) -> str:
    """Return the faults of a configuration in one line, without its values."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        ": ".join(
            part
            for part in (
                ".".join(map(str, fault["loc"])),
                _words(fault["loc"], fault["msg"]),
            )
            if part
        )
        for fault in faults
    ]
    return "; ".join(lines)


def _words(place: tuple[int | str, ...], message: str) -> str:
    if place == ("name",):
        return "write 1 to 63 small letters, digits, - and _, first a letter or digit"
    return message.removeprefix("Value error, ")
