"""Restoring a backup: everything is checked beside its place before anything is replaced.

What is replaced moves to ``before-restore-TIME`` in the data folder and in the model repository.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from auth.store.database import HEAD, SIDE_FILES, open_database
from schemas.errors import NotReady
from service.backup.archive import digest_file, read_archive, read_manifest
from service.backup.manifest import (
    CAMERA_KEY,
    KEYS,
    MODELS,
    PHOTOS,
    BackupRefused,
    Manifest,
    Member,
)
from service.backup.postgresql import check_dump, put_back, require_free, restore_postgresql
from service.backup.sqlite import check_sqlite, migrate_sqlite, require_unused
from service.cameras.opening import KEY_FILE
from service.runtime.identity import KEYS_FOLDER, store_url
from service.settings import Settings
from service.teach.datasets.store.files import FOLDER as PHOTOS_FOLDER

ASIDE = ".before-restore-"
"""The dot tells servers that it is no model."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        aside: where the replaced files are; and the schema of PostgreSQL, if there is one.
    """

    manifest: Manifest
    aside: tuple[str, ...]


@dataclass(slots=True)
class _Moves:
    """Renames that can be undone.

    Attributes:
        aside: a folder for each root whose files were replaced.
    """

    time: str
    done: list[tuple[Path, Path]] = field(default_factory=list)
    aside: set[str] = field(default_factory=set)

    def replace(self, new: Path | None, place: Path, root: Path) -> None:
        if place.is_file() and not place.stat().st_size:  # as made by reading the settings
            place.unlink()
        if place.exists():
            folder = root / f"{ASIDE}{self.time}"
            self.aside.add(str(folder))
            self._move(place, folder / place.relative_to(root))
        if new is not None:
            self._move(new, place)

    def undo(self) -> None:
        for source, target in reversed(self.done):
            target.rename(source)

    def _move(self, source: Path, target: Path) -> None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.rename(target)
        self.done.append((source, target))


def restore(
    settings: Settings, file: Path, passphrase: str | None, *, replace: bool = False
) -> Restored:
    """Restore a backup into the data folder, the repository and the database of the settings.

    No server may use them. An older backup is migrated. Parts that the backup does not have stay.

    Args:
        replace: whether the target may hold accounts, keys, photos or these models.

    Raises:
        BackupRefused, OSError: nothing is changed then.
    """
    manifest = read_manifest(file, passphrase, HEAD)
    url = store_url(settings)
    if url.get_backend_name() != manifest.database:
        raise BackupRefused(
            f"the backup is of {manifest.database}, and database_url names {url.get_backend_name()}"
        )
    is_embedded = manifest.database == "sqlite"
    if is_embedded:
        require_unused(Path(url.database or ""))
    else:
        require_free(url, replace=replace)
    _require_room(settings, manifest, Path(url.database or ""), replace=replace)
    database = Path(url.database or "")
    same = _identical(settings.models, manifest)
    has_models = any(_unit(one) not in same for one in manifest.below(MODELS))
    # The repository may be read-only, as in the image.
    models = _staging(settings.models) if has_models else nullcontext(Path())
    with _staging(settings.data_dir) as in_data, models as in_models:

        def place(member: Member) -> Path | None:
            if member.path.parts[0] == MODELS and _unit(member) in same:
                return None
            return (in_models if member.path.parts[0] == MODELS else in_data) / member.name

        if read_archive(file, passphrase, HEAD, place) != manifest:
            raise BackupRefused(f"{file} changed meanwhile: try again")
        dump = in_data / manifest.below("database")[0].name
        _check_database(dump, manifest)
        moves = _Moves(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        schema: str | None = None
        try:
            if is_embedded:
                for suffix in ("", *SIDE_FILES):
                    place_of = database.with_name(database.name + suffix)
                    moves.replace(None if suffix else dump, place_of, database.parent)
            _move_files(manifest, in_data, in_models, settings, moves)
            if not is_embedded:
                schema = restore_postgresql(url, dump)
                try:
                    asyncio.run(_migrate(settings))
                except NotReady as error:
                    put_back(url, schema)
                    raise BackupRefused(f"cannot migrate: {error.__cause__}") from error
        except BaseException:
            moves.undo()
            raise
    aside = (*sorted(moves.aside), *([f"schema {schema}"] if schema else []))
    return Restored(manifest, aside)


def _check_database(dump: Path, manifest: Manifest) -> None:
    if manifest.database == "postgresql":
        check_dump(dump)
        return
    check_sqlite(dump, manifest.migration)
    try:
        asyncio.run(migrate_sqlite(dump))
    except NotReady as error:
        raise BackupRefused(f"the backup cannot be migrated: {error.__cause__}") from error


def _require_room(settings: Settings, manifest: Manifest, database: Path, *, replace: bool) -> None:
    places = [database] if manifest.database == "sqlite" else []
    places += [settings.data_dir / KEYS_FOLDER] if manifest.below(KEYS) else []
    places += [settings.data_dir / KEY_FILE] if manifest.below(CAMERA_KEY) else []
    places += [settings.data_dir / PHOTOS_FOLDER] if manifest.below(PHOTOS) else []
    same = _identical(settings.models, manifest)
    units = {_unit(one) for one in manifest.below(MODELS)} - same
    places += [settings.models / unit for unit in sorted(units)]
    full = next((one for one in places if _holds_something(one)), None)
    if full is not None and not replace:
        raise BackupRefused(
            f"{full} exists: --replace moves what is replaced aside and restores the backup"
        )


def _unit(member: Member) -> Path:
    """Return what is replaced as one: the folder of a version, or a policy."""
    return Path(*member.path.parts[1:3])


def _identical(models: Path, manifest: Manifest) -> set[Path]:
    """Return the versions and policies that the repository has already, byte for byte."""
    wanted: dict[Path, dict[str, str]] = {}
    for one in manifest.below(MODELS):
        wanted.setdefault(_unit(one), {})[one.name] = one.sha256
    return {unit for unit, files in wanted.items() if _digests(models, unit) == files}


def _digests(models: Path, unit: Path) -> dict[str, str]:
    place = models / unit
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    names = {file: f"{MODELS}/{file.relative_to(models).as_posix()}" for file in files}
    return {name: digest_file(name, file).sha256 for file, name in names.items()}


def _holds_something(place: Path) -> bool:
    if place.is_dir():
        return any(place.iterdir())
    return place.exists() and place.stat().st_size > 0


def _move_files(
    manifest: Manifest, in_data: Path, in_models: Path, settings: Settings, moves: _Moves
) -> None:
    data, models = settings.data_dir, settings.models
    for name, place in ((KEYS, KEYS_FOLDER), (CAMERA_KEY, KEY_FILE), (PHOTOS, PHOTOS_FOLDER)):
        if manifest.below(name):
            moves.replace(in_data / name, data / place, data)
    # A version is a folder, replaced as one; policies are files.
    same = _identical(models, manifest)
    for name in sorted({_unit(one) for one in manifest.below(MODELS)} - same):
        new = in_models / MODELS / name
        _open_to_readers(new)
        moves.replace(new, models / name, models)


def _open_to_readers(new: Path) -> None:
    """Give models and policies the permissions that publishing gives: they are no secrets."""
    for one in (new, *new.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """Make a folder on the file system of the files to replace; it is removed at the end."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / f".restoring-{time.time_ns():x}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def _migrate(settings: Settings) -> None:
    async with open_database(store_url(settings)):
        pass
