"""Reads labels from text, JSON or CSV files.

- text: a label a line;
- JSON: a list of labels, an object from indices to labels, Keras' ``imagenet_class_index.json``
  (indices to ``[id, label]``), or a Hugging Face ``config.json`` with ``id2label``;
- CSV with a header: a column ``label`` or ``name``, and optionally ``index``.

The format is detected from the content too, since a download has no file name.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.modeltools.importing.graph_facts import CannotImport

MAX_BYTES = 4 * 2**20
_LABEL_COLUMNS = ("label", "name")
_INDEX_COLUMN = "index"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LabelFile:
    """Labels in the order of the model's outputs; ``notes``: warnings about them."""

    labels: tuple[str, ...]
    notes: tuple[str, ...]


def read_label_file(file: Path) -> LabelFile:
    """Read the labels in a file.

    Raises:
        CannotImport: the file cannot be read, is no list of labels, or its indices have gaps.
    """
    text = _text(file)
    is_csv = file.suffix.lower() == ".csv" or _has_csv_header(text)
    try:
        if file.suffix.lower() == ".json" or text.lstrip()[:1] in {"[", "{"}:
            labels = _from_json(text)
        elif is_csv:
            labels = _from_csv(text)
        else:
            labels = _from_lines(text)
        if not labels:
            raise _Fault("there are no labels in it")
        labels = [_checked(label, index) for index, label in enumerate(labels)]
    except _Fault as fault:
        raise CannotImport(f"{file}: {fault}") from fault
    return LabelFile(tuple(labels), _notes(labels))


class _Fault(Exception):
    """A fault in the file; the handler adds the file's name."""


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise CannotImport(f"{file} is larger than the {MAX_BYTES // 2**20} MiB of labels")
        return data.decode("utf-8-sig")
    except OSError as error:
        message = f"the labels cannot be read from {file}: {error.strerror}"
        raise CannotImport(message) from error
    except UnicodeDecodeError as error:
        message = f"the labels cannot be read from {file}: it is no UTF-8 text"
        raise CannotImport(message) from error


def _from_lines(text: str) -> list[str]:
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or not all(line.strip() for line in lines):
        raise _Fault("it must hold a label a line, and no empty lines")
    return lines


def _has_csv_header(text: str) -> bool:
    """Return whether the first line is a header of known columns."""
    columns = _columns(text.splitlines()[0]) if text else []
    return _INDEX_COLUMN in columns and any(name in columns for name in _LABEL_COLUMNS)


def _columns(line: str) -> list[str]:
    return [name.strip().strip('"').casefold() for name in line.split(",")]


def _from_csv(text: str) -> list[str]:
    try:
        header, *rows = csv.reader(io.StringIO(text.rstrip(), newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise _Fault(f"it is no CSV: {error}") from error
    columns = [name.strip().casefold() for name in header]
    named = [name for name in _LABEL_COLUMNS if name in columns]
    if not named:
        raise _Fault("its first line must name its columns, such as index,label")
    place = columns.index(named[0])
    numbered = columns.index(_INDEX_COLUMN) if _INDEX_COLUMN in columns else None
    pairs = []
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise _Fault(f"row {number + 1} has {len(row)} fields, but the header {len(columns)}")
        pairs.append((str(number) if numbered is None else row[numbered], row[place]))
    return _in_order(pairs)


class _Pairs(list[tuple[str, object]]):
    """A JSON object as pairs, so that a duplicate index is detected."""


def _from_json(text: str) -> list[str]:
    try:
        found = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"it begins like JSON and is none: {error}") from error
    if isinstance(found, _Pairs):
        inner = [value for name, value in found if name == "id2label"]
        pairs = inner[-1] if inner else found
        if not isinstance(pairs, _Pairs):
            raise _Fault("id2label must be an object from indices to labels")
        return _in_order([(index, _named(value, index)) for index, value in pairs])
    if isinstance(found, list):
        return [_plain(value, str(index)) for index, value in enumerate(found)]
    raise _Fault("it must be a list of labels, or an object from indices to labels")


def _named(value: object, index: str) -> str:
    """Return a label: the value, or the second item of Keras' ``[id, label]``."""
    if isinstance(value, list) and not isinstance(value, _Pairs) and len(value) == 2:
        value = value[1]
    return _plain(value, index)


def _plain(value: object, index: str) -> str:
    if not isinstance(value, str):
        raise _Fault(f"the label of index {_short(index)} is no text")
    return value


def _in_order(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the labels sorted by index, which must be 0, 1, 2 and so on, in any order."""
    found: dict[int, str] = {}
    for written, label in pairs:
        text = written.strip()
        if re.fullmatch(r"-?[0-9]{1,9}", text) is None:
            raise _Fault(f"'{_short(written)}' is no index of a label")
        if text.startswith("-"):
            raise _Fault(f"the index {text} is negative; they count from 0")
        if int(text) in found:
            raise _Fault(f"the index {text} is there twice")
        found[int(text)] = label
    for index in range(len(found)):
        if index not in found:
            raise _Fault(f"the index {index} is missing; they count from 0 without gaps")
    return [found[index] for index in range(len(found))]


def _checked(label: str, index: int) -> str:
    label = label.strip()
    if not label:
        raise _Fault(f"the label of index {index} is empty")
    if not label.isprintable():
        raise _Fault(f"the label of index {index} has characters that cannot be printed")
    return label


def _notes(labels: Sequence[str]) -> tuple[str, ...]:
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if not twice:
        return ()
    shown = ", ".join(f"'{label}'" for label in twice[:_SHOWN])
    more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
    return (f"Several outputs have the same label: {shown}{more}.",)


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:20]}..."
