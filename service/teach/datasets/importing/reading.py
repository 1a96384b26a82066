"""Which kind of import a container is: a list in CSV, tasks of Label Studio, or folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from schemas.errors import InvalidRequest
from service.teach.datasets.importing.archive import ZipContainer
from service.teach.datasets.importing.containers import FolderContainer
from service.teach.datasets.importing.csv_list import NAME, from_csv
from service.teach.datasets.importing.folders import from_folders
from service.teach.datasets.importing.label_studio import from_tasks, is_tasks
from service.teach.datasets.importing.listing import (
    Container,
    Listing,
    Refused,
    safe_name,
    split_refused,
    unique,
)

MAX_LIST_BYTES = 64 * 2**20
"""Of a list in CSV, or of tasks in JSON."""


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """``files`` and ``bytes`` of one import, announced or on the disk."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """Photos to import: what there is, and where it is read from."""

    listing: Listing
    container: Container


@contextmanager
def open_source(path: Path, limits: ImportLimits) -> Iterator[Source]:
    """Open a folder, a ``.csv`` or ``.json`` list beside its photos, or a zip file. Blocks.

    Raises:
        InvalidRequest: it is none of them, or damaged.
        PayloadTooLarge: there are too many files, or bytes in an archive.
    """
    kind = path.suffix.casefold()
    if path.is_dir():
        folder = FolderContainer(path, max_files=limits.files)
        yield Source(list_container(folder), folder)
    elif kind == ".csv":
        folder = FolderContainer(path.parent, max_files=limits.files)
        yield Source(_csv(folder, safe_name(path.name), ""), folder)
    elif kind == ".json":
        folder = FolderContainer(path.parent, max_files=limits.files)
        names, _ = split_refused(folder.names())
        yield Source(_tasks(folder, safe_name(path.name), names, []), folder)
    else:
        with path.open("rb") as file, open_archive(file, limits) as source:
            yield source


@contextmanager
def open_archive(file: BinaryIO, limits: ImportLimits) -> Iterator[Source]:
    """Open a zip file. Blocks.

    Raises:
        InvalidRequest: it is no zip file, or damaged.
        PayloadTooLarge: there are too many files, or bytes in them.
    """
    archive = ZipContainer(file, max_files=limits.files, max_bytes=limits.bytes)
    try:
        yield Source(list_container(archive), archive)
    finally:
        archive.close()


def list_container(container: Container) -> Listing:
    """Return what a container has. Blocks.

    Raises:
        InvalidRequest: its list is damaged.
        PayloadTooLarge: there are too many files.
    """
    names, refused = split_refused(container.names())
    root = _root(names)
    lists = [name for name in names if str(PurePosixPath(name).parent) == (root or ".")]
    for name in lists:
        if PurePosixPath(name).name.casefold() == NAME:
            return _csv(container, name, root, refused)
    for name in lists:
        if name.casefold().endswith(".json") and is_tasks(container.read(name, MAX_LIST_BYTES)):
            return _tasks(container, name, names, refused)
    return Listing("folders", (*from_folders(names), *refused))


def tasks_alone(data: bytes) -> Source:
    """Return the labels of tasks whose photos are in the dataset already. Blocks.

    Raises:
        InvalidRequest: they are no tasks.
    """
    listing = Listing("label-studio", tuple(from_tasks(data, lambda _: None)))
    return Source(listing, _Empty())


class _Empty:
    """A container without files."""

    def names(self) -> tuple[str, ...]:
        """Return an empty tuple."""
        return ()

    def has(self, _: str) -> bool:
        """Return False."""
        return False

    def size(self, _: str) -> int:
        """Return 0."""
        return 0

    def read(self, name: str, limit: int) -> bytes:
        """Raise ``InvalidRequest``."""
        del name, limit
        raise InvalidRequest


def _csv(
    container: Container, name: str, root: str, refused: list[Refused] | None = None
) -> Listing:
    def find(path: str) -> str:
        for one in (f"{root}/{path}" if root else path, path):
            if container.has(one):
                return one
        raise InvalidRequest("There is no such file, or it is a link.")

    entries = unique(from_csv(container.read(name, MAX_LIST_BYTES), find))
    return Listing("csv", (*entries, *(refused or ())))


def _tasks(container: Container, name: str, names: list[str], refused: list[Refused]) -> Listing:
    by_base: dict[str, str | None] = {}
    for one in names:
        base = one.rsplit("/", 1)[-1]
        by_base[base] = None if base in by_base else one  # two files of this name: neither

    def find(path: str) -> str | None:
        parts = path.split("/")
        for start in range(len(parts)):
            if container.has(found := "/".join(parts[start:])):
                return found
        return by_base.get(parts[-1])

    entries = unique(from_tasks(container.read(name, MAX_LIST_BYTES), find))
    return Listing("label-studio", (*entries, *refused))


def _root(names: list[str]) -> str:
    """Return the folder around everything; empty if there is none."""
    firsts = {name.split("/", 1)[0] for name in names}
    is_one = len(firsts) == 1 and all("/" in name for name in names)
    return firsts.pop() if is_one else ""
