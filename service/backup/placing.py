"""Places of restored files: what is there is moved aside, and moved back if the restore fails."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.backup.archive import digest_file
from service.backup.manifest import (
    CAMERA_KEY,
    KEYS,
    MODELS,
    PHOTOS,
    BackupRefused,
    Manifest,
    Member,
)
from service.cameras.opening import KEY_FILE
from service.runtime.identity import KEYS_FOLDER
from service.settings import Settings
from service.teach.datasets.store.files import FOLDER as PHOTOS_FOLDER

ASIDE = ".before-restore-"
"""The dot tells servers that it is no model."""


@dataclass(slots=True)
class Moves:
    """Renames that can be undone.

    Attributes:
        aside: a folder for each root whose files were replaced.
    """

    time: str
    done: list[tuple[Path, Path]] = field(default_factory=list)
    aside: set[str] = field(default_factory=set)

    def replace(self, new: Path | None, place: Path, root: Path) -> None:
        """Move what is at a place aside, and the new file or folder there; None: nothing new."""
        if place.is_file() and not place.stat().st_size:  # as made by reading the settings
            place.unlink()
        if place.exists():
            folder = root / f"{ASIDE}{self.time}"
            self.aside.add(str(folder))
            self._move(place, folder / place.relative_to(root))
        if new is not None:
            self._move(new, place)

    def undo(self) -> None:
        """Rename everything back."""
        for source, target in reversed(self.done):
            target.rename(source)

    def _move(self, source: Path, target: Path) -> None:
        if target.exists():
            raise BackupRefused(f"{target} exists")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.rename(target)
        self.done.append((source, target))


def unit_of(member: Member) -> Path:
    """Return what is replaced as one: the folder of a version, or a policy."""
    return Path(*member.path.parts[1:3])


def identical(models: Path, manifest: Manifest) -> set[Path]:
    """Return the versions and policies that the repository has already, byte for byte."""
    wanted: dict[Path, dict[str, str]] = {}
    for one in manifest.below(MODELS):
        wanted.setdefault(unit_of(one), {})[one.name] = one.sha256
    return {unit for unit, files in wanted.items() if _digests(models, unit) == files}


def _digests(models: Path, unit: Path) -> dict[str, str]:
    place = models / unit
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    names = {file: f"{MODELS}/{file.relative_to(models).as_posix()}" for file in files}
    return {name: digest_file(name, file).sha256 for file, name in names.items()}


def holds_something(place: Path) -> bool:
    """Return whether a place is a file or folder that is not empty."""
    if place.is_dir():
        return any(place.iterdir())
    return place.exists() and place.stat().st_size > 0


def move_files(
    manifest: Manifest, in_data: Path, in_models: Path, settings: Settings, moves: Moves
) -> None:
    """Move staged keys, photos, models and policies to their places."""
    data, models = settings.data_dir, settings.models
    for name, place in ((KEYS, KEYS_FOLDER), (CAMERA_KEY, KEY_FILE), (PHOTOS, PHOTOS_FOLDER)):
        if manifest.below(name):
            moves.replace(in_data / name, data / place, data)
    # A version is a folder, replaced as one; policies are files.
    same = identical(models, manifest)
    for unit in sorted({unit_of(one) for one in manifest.below(MODELS)} - same):
        new = in_models / MODELS / unit
        _open_to_readers(new)
        moves.replace(new, models / unit, models)


def _open_to_readers(new: Path) -> None:
    """Give models and policies the permissions that publishing gives: they are no secrets."""
    for one in (new, *new.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Make a folder on the file system of the files to replace; it is removed at the end."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / f".restoring-{time.time_ns():x}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
