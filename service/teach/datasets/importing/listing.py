"""What an import finds: photos with their labels, and files that are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

from schemas.errors import CallerError, InvalidRequest

Format = Literal["folders", "csv", "label-studio"]
_DRIVE = re.compile(r"[A-Za-z]:")
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
"""Files and folders that operating systems add."""


@dataclass(frozen=True, slots=True)
class Found:
    """A photo that an import finds.

    Attributes:
        file: its name in the container; None: a photo that the dataset has, by ``digest``.
        name: as shown to people.
        labels: as given; None: not labelled.
        captured: seconds since the epoch.
    """

    file: str | None
    name: str
    labels: tuple[str, ...] | None = None
    group: str | None = None
    captured: float | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not imported, and why."""

    name: str
    error: CallerError


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that an import finds, in order."""

    format: Format
    entries: tuple[Found | Refused, ...]


class Container(Protocol):
    """A folder or an archive. All methods block. Names have slashes and are relative."""

    def names(self) -> Iterable[str | Refused]:
        """Return the names of all files, without those that operating systems add."""

    def has(self, name: str) -> bool:
        """Return whether there is a regular file of that name."""

    def size(self, name: str) -> int:
        """Return the bytes of a file."""

    def read(self, name: str, limit: int) -> bytes:
        """Return a file.

        Raises:
            PayloadTooLarge: it has more than ``limit`` bytes.
            InvalidRequest: it cannot be read.
        """


def is_ignored(name: str) -> bool:
    """Return whether a file is hidden, or one that operating systems add."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part.casefold() in _IGNORED for part in parts)


def safe_name(name: str) -> str:
    """Return a relative name with slashes, in its shortest form.

    Raises:
        InvalidRequest: it is absolute, leads out of its folder, or has control characters.
    """
    text = name.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if not parts or not text.isprintable():  # surrogates, of names that are no UTF-8, are not
        raise InvalidRequest("The name of the file is not text.")
    if text.startswith("/") or ".." in parts or _DRIVE.match(parts[0]):
        raise InvalidRequest("The name of the file is absolute, or leads out of its folder.")
    return "/".join(parts)


def shown(name: str) -> str:
    """Return a name as a report shows it: printable, and not too long."""
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return text if len(text) <= 300 else f"{text[:150]}...{text[-140:]}"


def split_refused(names: Iterable[str | Refused]) -> tuple[list[str], list[Refused]]:
    """Return the names, and the files that are refused."""
    good: list[str] = []
    bad: list[Refused] = []
    for one in names:
        if isinstance(one, Refused):
            bad.append(one)
        else:
            good.append(one)
    return good, bad


def unique(entries: Iterable[Found | Refused]) -> Iterator[Found | Refused]:
    """Yield entries; refuse a file that is listed a second time with other labels."""
    seen: dict[str, Found] = {}
    for entry in entries:
        if isinstance(entry, Found) and entry.file is not None:
            first = seen.setdefault(entry.file, entry)
            if first is not entry and first.labels == entry.labels:
                continue
        yield entry
