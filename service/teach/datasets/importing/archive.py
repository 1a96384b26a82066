"""A zip file as a container. Nothing is unpacked to a disk: members are read one by one.

The central directory is bounded before it is parsed, and the announced sizes of all members
together before any is read: members of a zip bomb may share their bytes.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from schemas.errors import InvalidRequest, PayloadTooLarge, Unsupported
from service.teach.datasets.importing.containers import too_large
from service.teach.datasets.importing.listing import Refused, is_ignored, safe_name, shown

_END = struct.Struct("<4s4H2LH")
_END_MARK, _END_64_MARK, _LOCATOR_MARK = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_MAX_COMMENT = 2**16
ENTRY_BYTES = 512
"""Bytes of the central directory that one member may take, on average: names have 100."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst"}


class ZipContainer:
    """The members of a zip file."""

    def __init__(self, file: BinaryIO, *, max_files: int, max_bytes: int) -> None:
        """Read the central directory. Blocks.

        Args:
            file: can be sought; the caller closes it.
            max_bytes: announced by all members together.

        Raises:
            InvalidRequest: it is no zip file, or damaged.
            PayloadTooLarge: there are too many members, or bytes in them.
        """
        try:
            if _directory_bytes(file) > max_files * ENTRY_BYTES:
                raise _too_many(max_files)
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, struct.error, ValueError, EOFError, NotImplementedError):
            raise InvalidRequest("The archive is no zip file, or damaged.") from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._refused: list[Refused] = []
        try:
            members = [one for one in self._archive.infolist() if not one.is_dir()]
            if len(members) > max_files:
                raise _too_many(max_files)
            if sum(one.file_size for one in members) > max_bytes:
                message = f"The files of the archive have more than {max_bytes / 2**20:.4g} MiB."
                raise PayloadTooLarge(message)
            for member in members:
                self._take(member)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def names(self) -> Iterator[str | Refused]:
        """Yield the names of the members, in their order, and those that are refused."""
        yield from self._members
        yield from self._refused

    def has(self, name: str) -> bool:
        """Return whether there is a member of that name."""
        return name in self._members

    def size(self, name: str) -> int:
        """Return the bytes of a member."""
        return self._members[name].file_size

    def read(self, name: str, limit: int) -> bytes:
        """Return a member.

        Raises:
            PayloadTooLarge: it has more than ``limit`` bytes.
            InvalidRequest: it is damaged.
        """
        member = self._members[name]
        if member.file_size > limit:
            raise too_large(limit)
        try:
            with self._archive.open(member) as file:
                data = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError):
            raise InvalidRequest("The file is damaged in the archive.") from None
        if len(data) > limit:
            raise too_large(limit)
        return data

    def _take(self, member: zipfile.ZipInfo) -> None:
        """Keep a member, or the reason why it is refused."""
        name = member.orig_filename
        try:
            safe = safe_name(member.filename)
            if "\\" in name or "\0" in name:
                safe = safe_name(name)
            if is_ignored(safe):
                return
            _check(member, safe)
            if safe in self._members:
                raise InvalidRequest("The archive has another file of this name.")
        except (InvalidRequest, Unsupported) as error:
            self._refused.append(Refused(shown(name), error))
            return
        self._members[safe] = member


def _check(member: zipfile.ZipInfo, name: str) -> None:
    """Raise ``InvalidRequest`` or ``Unsupported`` if a member cannot be a photo or a list."""
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise InvalidRequest("It is a link.")
    if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise InvalidRequest("It is no file of data.")
    if member.flag_bits & _ENCRYPTED:
        raise Unsupported("It is encrypted.")
    if member.compress_type not in _METHODS:
        raise Unsupported("It is compressed in a way that is not supported: use deflate.")
    if Path(name).suffix.casefold() in _ARCHIVES:
        raise Unsupported("It is an archive within the archive: unpack it first.")


def _directory_bytes(file: BinaryIO) -> int:
    """Return the announced bytes of the central directory (APPNOTE.TXT, 4.3.14 to 4.3.16).

    Raises:
        ValueError: there is no end of it.
    """
    size = file.seek(0, 2)
    start = max(0, size - _MAX_COMMENT - _END.size)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0:
        message = "no end of central directory"
        raise ValueError(message)
    announced: int = _END.unpack_from(tail, at)[5]
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(_LOCATOR_MARK):
        position = start + at - _LOCATOR.size - _END_64.size
        file.seek(max(0, position))
        end = file.read(_END_64.size)
        if end.startswith(_END_64_MARK):
            announced = _END_64.unpack(end)[8]
    return announced


def _too_many(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"An import may have {most} files.")
