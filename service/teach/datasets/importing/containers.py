"""A folder of this machine as a container."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.teach.datasets.importing.listing import Refused, is_ignored, safe_name, shown


class FolderContainer:
    """The files below a folder; links are refused, as they may lead out of it."""

    def __init__(self, folder: Path, *, max_files: int) -> None:
        self._folder, self._max_files = folder.resolve(), max_files

    def names(self) -> Iterator[str | Refused]:
        """Yield the names of all regular files, sorted by folder.

        Raises:
            PayloadTooLarge: there are too many.
        """
        count = 0
        for place, folders, files in os.walk(self._folder):
            root = Path(place).relative_to(self._folder)
            for name in [*folders]:
                if (Path(place) / name).is_symlink():
                    folders.remove(name)
                    yield _link((root / name).as_posix())
            folders.sort()
            for name in sorted(files):
                text = (root / name).as_posix()
                if is_ignored(text):
                    continue
                count += 1
                if count > self._max_files:
                    raise PayloadTooLarge(f"An import may have {self._max_files} files.")
                kind = (Path(place) / name).lstat().st_mode
                if stat.S_ISLNK(kind):
                    yield _link(text)
                elif not stat.S_ISREG(kind):
                    yield Refused(shown(text), InvalidRequest("It is no file of data."))
                else:
                    try:
                        yield safe_name(text)
                    except InvalidRequest as error:
                        yield Refused(shown(text), error)

    def has(self, name: str) -> bool:
        """Return whether there is a regular file of that name, not through a link."""
        path = self._folder / name
        try:
            return path.resolve() == path and stat.S_ISREG(path.lstat().st_mode)
        except OSError:
            return False

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        try:
            return (self._folder / name).lstat().st_size
        except OSError:
            return 0

    def read(self, name: str, limit: int) -> bytes:
        """Return a file.

        Raises:
            PayloadTooLarge: it has more than ``limit`` bytes.
            InvalidRequest: it cannot be read.
        """
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise InvalidRequest(f"The file cannot be read: {error.strerror}.") from error
        if len(data) > limit:
            raise too_large(limit)
        return data


def too_large(limit: int) -> PayloadTooLarge:
    """Return the error of a file with more bytes than allowed."""
    return PayloadTooLarge(f"The file is larger than the {limit / 2**20:.3g} MiB that are taken.")


def _link(name: str) -> Refused:
    return Refused(shown(name), InvalidRequest("It is a link."))
