"""Files of photos, named by their content: ``photos/ab/cdef...`` for the SHA-256 ``abcdef...``.

A file is complete or absent: it is written beside its place and renamed. Its row follows, so that a
process that dies between the two leaves a file without a row, which ``sweep`` removes. A lock of
the folder keeps ``sweep`` and removals away from files whose row is about to be written.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from schemas.errors import NotReady
from service.core.repository.atomic_files import sync

FOLDER = Path("teach") / "photos"
"""In the data folder."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_PREFIX_CHARS = 2
_PART = ".part-"
"""Begin of the name of a file that is being written."""
Result = TypeVar("Result")


class DiskFull(NotReady):
    """The disk of the data folder is full. What was being written is removed."""

    default_detail = "The disk of the server is full."


class PhotoMissing(Exception):
    """A photo has a row, but no file."""


def digest_of(image: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(image).hexdigest()


class PhotoFiles:
    """The files of all datasets, below a data folder."""

    def __init__(self, data_dir: Path, *, keep_free_bytes: int = 0) -> None:
        """``keep_free_bytes``: of the disk; photos are refused that would take them."""
        self._folder, self._keep_free = data_dir / FOLDER, keep_free_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no photo was ever kept here."""
        return not self._folder.exists()

    def path(self, digest: str) -> Path:
        """Return where the file of a photo is."""
        return self._folder / digest[:_PREFIX_CHARS] / digest[_PREFIX_CHARS:]

    @asynccontextmanager
    async def adding(self) -> AsyncIterator[None]:
        """Keep files from being removed until the rows that refer to them are written."""
        async with self._locked(fcntl.LOCK_SH):
            yield

    @asynccontextmanager
    async def removing(self) -> AsyncIterator[None]:
        """Wait until no rows are about to be written, and keep others from beginning."""
        async with self._locked(fcntl.LOCK_EX):
            yield

    def write(self, images: Mapping[str, bytes]) -> None:
        """Write files by digest, unless they are there; within ``adding``. Blocks.

        They are on the disk when it returns.

        Raises:
            DiskFull: some may be written; each of them is complete.
        """
        changed = set[Path]()
        try:
            if self._keep_free:
                free = shutil.disk_usage(self._folder).free
                if free - sum(map(len, images.values())) < self._keep_free:
                    raise DiskFull
            for digest, image in images.items():
                file = self.path(digest)
                if file.exists():
                    continue
                if not file.parent.exists():
                    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    changed.add(file.parent.parent)
                _write(file, image)
                changed.add(file.parent)
            for folder in changed:
                sync(folder)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise DiskFull from error
            raise

    def read(self, digest: str) -> bytes:
        """Return the bytes of a photo. Blocks.

        Raises:
            PhotoMissing: there is no such file.
        """
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            raise PhotoMissing(digest) from None

    def head(self, digest: str, count: int) -> bytes:
        """Return the first bytes of a photo. Blocks.

        Raises:
            PhotoMissing: there is no such file.
        """
        try:
            with self.path(digest).open("rb") as file:
                return file.read(count)
        except FileNotFoundError:
            raise PhotoMissing(digest) from None

    def remove(self, digests: Collection[str]) -> None:
        """Remove files; within ``removing``. Blocks."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def prefixes(self) -> Iterator[str]:
        """Yield the first characters of the digests that have files."""
        if self._folder.exists():
            for folder in sorted(self._folder.iterdir()):
                if len(folder.name) == _PREFIX_CHARS and folder.is_dir():
                    yield folder.name

    def keep_only(self, prefix: str, kept: Collection[str]) -> tuple[set[str], set[str], int]:
        """Remove the files below a prefix that are not ``kept``; within ``removing``. Blocks.

        Returns:
            The digests that were removed, those of files that stay, and how many files that
            killed processes were writing.
        """
        names = {entry.name for entry in os.scandir(self._folder / prefix)}
        parts = {name for name in names if name.startswith(_PART)}
        files = {prefix + name for name in names - parts}
        for part in parts:
            (self._folder / prefix / part).unlink(missing_ok=True)
        left = files.difference(kept)
        self.remove(left)
        return left, files - left, len(parts)

    @asynccontextmanager
    async def _locked(self, kind: int) -> AsyncIterator[None]:
        """Hold a lock of the folder; it is released when the process dies."""
        descriptor = await asyncio.to_thread(self._lock, kind)
        try:
            yield
        finally:
            os.close(descriptor)

    def _lock(self, kind: int) -> int:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise DiskFull from error
            raise
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, kind)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work on files in a thread; a cancelled caller waits for its end."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise


def _write(file: Path, image: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=_PART, dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as part:
            part.write(image)
            part.flush()
            os.fsync(part.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
