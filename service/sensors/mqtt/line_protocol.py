r"""Line protocol, as Telegraf and InfluxDB write it: numbers in fields, and times. Pure and strict.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/

::

    vibration,machine=pump\ 3 x=0.12,y=-3i,note="not a number" 1700000000000000000
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MAX_LINES = 65_536
_LINE = re.compile(
    r'(?P<head>(?:\\.|[^ \\])+) +(?P<fields>(?:"(?:\\.|[^"\\])*"|\\.|[^ "\\])+)'
    r"(?: +(?P<time>-?[0-9]{1,19}))? *"
)
_FIELD = re.compile(r'(?P<name>(?:\\.|[^,= "\\])+)=(?P<value>"(?:\\.|[^"\\])*"|[^,"]+)(?:,|$)')
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?|[+-]?[0-9]+[iu]")
_ESCAPE = re.compile(r"\\([,= \\])")


class Line(NamedTuple):
    """One line.

    Attributes:
        fields: those with numbers; text and truth values are left out.
        at: seconds since the epoch; None if the line has no time.
    """

    fields: Mapping[str, float]
    at: float | None


def read_lines(payload: bytes) -> list[Line]:
    """Return the lines, without comments and empty ones.

    Raises:
        ValueError: a line is malformed, or there is none.
    """
    lines: list[Line] = []
    for number, text in enumerate(payload.decode().split("\n"), 1):
        line = text.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        if len(lines) >= MAX_LINES:
            message = f"more than {MAX_LINES} lines"
            raise ValueError(message)
        lines.append(_line(line, number))
    if not lines:
        message = "there is no line"
        raise ValueError(message)
    return lines


def _line(text: str, number: int) -> Line:
    found = _LINE.fullmatch(text)
    if found is None:
        message = f"line {number} has no measurement, fields and time"
        raise ValueError(message)
    time = found["time"]
    return Line(_fields(found["fields"], number), int(time) / 1e9 if time else None)


def _fields(text: str, number: int) -> dict[str, float]:
    fields, at = {}, 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is None:
            message = f"line {number} has a malformed field"
            raise ValueError(message)
        at, value = found.end(), found["value"]
        if _NUMBER.fullmatch(value):
            fields[_ESCAPE.sub(r"\1", found["name"])] = float(value.rstrip("iu"))
        elif not value.startswith('"') and value not in _TRUTH:
            message = f"line {number} has a value that is no number"
            raise ValueError(message)
    if text.endswith(","):
        message = f"line {number} has a malformed field"
        raise ValueError(message)
    return fields


_TRUTH = frozenset({"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"})
