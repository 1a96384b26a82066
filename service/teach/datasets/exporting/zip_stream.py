"""A zip file as a stream of bytes: nothing is written to a disk, one member is in memory."""

from __future__ import annotations

import io
import zipfile
from typing import BinaryIO, cast


class ZipStream:
    """Members in, pieces of the archive out."""

    def __init__(self) -> None:
        self._out = _Pieces()
        # It is written only, and never sought.
        self._archive = zipfile.ZipFile(cast("BinaryIO", self._out), "w", allowZip64=True)

    def add(self, name: str, data: bytes, *, is_compressed: bool = False) -> bytes:
        """Add a member; return the bytes of the archive since the last call. Blocks."""
        method = zipfile.ZIP_DEFLATED if is_compressed else zipfile.ZIP_STORED
        self._archive.writestr(zipfile.ZipInfo(name, _EARLIEST), data, method)
        return self._out.take()

    def end(self) -> bytes:
        """Return the rest of the archive: its directory."""
        self._archive.close()
        return self._out.take()


_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The same photos are the same archive; the names say what they are."""


class _Pieces(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Keep the bytes."""
        self._buffer += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        found = bytes(self._buffer)
        self._buffer.clear()
        return found
