"""Backups in a folder, of which the newest are kept."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from service.backup.archive import is_encrypted
from service.backup.manifest import BackupRefused

PREFIX, SUFFIX = "potoo-", ".backup"


def next_file(folder: Path, now: float | None = None) -> Path:
    """Return the path of the next backup in a folder, ``potoo-20261201T031500Z.backup``."""
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return folder / f"{PREFIX}{made}{SUFFIX}"


def backups_in(folder: Path) -> list[Path]:
    """Return the backups with names of ``next_file``, oldest first. Other files do not count."""
    return [file for file in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")) if _made(file)]


def newest(folder: Path) -> tuple[Path, datetime] | None:
    """Return the newest backup of a folder and its time; None if there is none."""
    for file in reversed(backups_in(folder)):
        try:
            is_encrypted(file)
        except BackupRefused:
            continue
        if made := _made(file):
            return file, made
    return None


def remove_old(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest ``keep`` backups of a folder; return what was removed.

    Args:
        keep: at least 1.
    """
    old = backups_in(folder)[:-keep]
    for file in old:
        file.unlink(missing_ok=True)
    return old


def _made(file: Path) -> datetime | None:
    text = file.name.removeprefix(PREFIX).removesuffix(SUFFIX)
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
