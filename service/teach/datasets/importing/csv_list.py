"""A list in CSV: ``path,label`` with optional ``group`` and ``captured``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from schemas.errors import InvalidRequest
from schemas.teach.dataset import MAX_GROUP_CHARS
from service.teach.datasets.importing.listing import Found, Refused, safe_name, shown

NAME = "labels.csv"
SEPARATOR = ";"
"""Between the labels of one photo."""
NONE_OF_THEM = "-"
"""Label of a photo that was looked at, and has none of the classes; datasets of many labels."""
_PATHS = ("path", "file", "filename", "file_name", "image", "image_path")
_LABELS = ("label", "labels", "class", "category")
_SNIFFED = 8192


def from_csv(data: bytes, find: Callable[[str], str]) -> Iterator[Found | Refused]:
    """Yield the photos of a list.

    Args:
        data: UTF-8, with or without a byte order mark; commas, semicolons or tabs.
        find: return the name of a listed file in the container. Raises ``InvalidRequest``.

    Raises:
        InvalidRequest: it is no UTF-8, or has no columns of paths and labels.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The list of photos is not UTF-8 text.") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    columns = {(name or "").strip().casefold(): name for name in rows.fieldnames or ()}
    path = next((columns[name] for name in _PATHS if name in columns), None)
    label = next((columns[name] for name in _LABELS if name in columns), None)
    if path is None or label is None:
        message = "The list of photos needs a header with the columns path and label."
        raise InvalidRequest(message)
    group, captured = columns.get("group"), columns.get("captured")
    try:
        for row in rows:
            given = (row.get(path) or "").strip()
            if not given:
                continue
            try:
                name = find(safe_name(given))
                yield Found(
                    file=name,
                    name=shown(given),
                    labels=labels_in(row.get(label) or "", is_split=label == columns.get("labels")),
                    group=_group(row.get(group) or "") if group else None,
                    captured=_time(row.get(captured) or "") if captured else None,
                )
            except InvalidRequest as error:
                yield Refused(shown(given), error)
    except csv.Error as error:
        raise InvalidRequest(f"The list of photos is not CSV: {error}.") from None


def labels_in(text: str, *, is_split: bool = True) -> tuple[str, ...] | None:
    """Return the labels of a cell; None: not labelled."""
    text = text.strip()
    if not text:
        return None
    if text == NONE_OF_THEM:
        return ()
    parts = text.split(SEPARATOR) if is_split or SEPARATOR in text else [text]
    return tuple(part.strip() for part in parts if part.strip())


def _delimiter(text: str) -> str:
    header = text[:_SNIFFED].split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _group(text: str) -> str | None:
    group = text.strip()
    if len(group) > MAX_GROUP_CHARS:
        raise InvalidRequest(f"A group has up to {MAX_GROUP_CHARS} characters.")
    return group or None


def _time(text: str) -> float | None:
    text = text.strip()
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = "captured is no time: write 2026-11-30T14:05:00Z."
        raise InvalidRequest(message) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
