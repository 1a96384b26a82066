"""Files that may be sources: regular files below one folder, with all links resolved."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed


def allowed_file(path: Path, folder: Path | None) -> Path:
    """Return the path with all links resolved.

    Raises:
        SourceFailed: ``address_refused``: files are off, or it is not below the folder;
            ``unreachable``: there is no such file.
    """
    if folder is None:
        message = "Files are no sources here: the setting cameras.files_dir names no folder"
        raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
    try:
        resolved, root = path.resolve(), folder.resolve(strict=True)
        if not resolved.is_relative_to(root):
            message = "The file is not below the folder of the setting cameras.files_dir"
            raise SourceFailed(CameraFailure.ADDRESS_REFUSED, message)
        return resolved.resolve(strict=True)
    except (OSError, RuntimeError):
        raise _missing() from None


@contextmanager
def opened(path: Path, folder: Path | None) -> Iterator[int]:
    """Open a file that is allowed; the decoding process gets this descriptor and no path.

    Raises:
        SourceFailed: as ``allowed_file``; ``unreachable``: it is no regular file.
    """
    resolved = allowed_file(path, folder)
    try:
        # Not blocking: opening a pipe would wait for its writer.
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _missing() from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _missing()
        yield descriptor
    finally:
        os.close(descriptor)


def _missing() -> SourceFailed:
    return SourceFailed(CameraFailure.UNREACHABLE, "There is no such file, or it is not readable")
