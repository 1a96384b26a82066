"""Restoring a backup: everything is checked beside its place before anything is replaced.

What is replaced moves to ``before-restore-TIME`` in the data folder and in the model repository.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from auth.store.database import HEAD, SIDE_FILES, open_database
from schemas.errors import NotReady
from service.backup.archive import read_archive, read_manifest
from service.backup.manifest import (
    CAMERA_KEY,
    KEYS,
    MODELS,
    PHOTOS,
    BackupRefused,
    Manifest,
    Member,
)
from service.backup.placing import Moves, holds_something, identical, move_files, staging, unit_of
from service.backup.postgresql import check_dump, put_back, require_free, restore_postgresql
from service.backup.sqlite import check_sqlite, migrate_sqlite, require_unused
from service.cameras.opening import KEY_FILE
from service.runtime.identity import KEYS_FOLDER, store_url
from service.settings import Settings
from service.teach.datasets.store.files import FOLDER as PHOTOS_FOLDER


@dataclass(frozen=True, slots=True)
class Restored:
    """Result of a restore.

    Attributes:
        aside: where the replaced files are; and the schema of PostgreSQL, if there is one.
    """

    manifest: Manifest
    aside: tuple[str, ...]


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
    database = Path(url.database or "")
    _require_room(settings, manifest, database, replace=replace)
    same = identical(settings.models, manifest)
    has_models = any(unit_of(one) not in same for one in manifest.below(MODELS))
    # The repository may be read-only, as in the image.
    models = staging(settings.models) if has_models else nullcontext(Path())
    with staging(settings.data_dir) as in_data, models as in_models:

        def place(member: Member) -> Path | None:
            if member.path.parts[0] == MODELS and unit_of(member) in same:
                return None
            return (in_models if member.path.parts[0] == MODELS else in_data) / member.name

        if read_archive(file, passphrase, HEAD, place) != manifest:
            raise BackupRefused(f"{file} changed meanwhile: try again")
        dump = in_data / manifest.below("database")[0].name
        _check_database(dump, manifest)
        moves = Moves(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        try:
            if is_embedded:
                for suffix in ("", *SIDE_FILES):
                    place_of = database.with_name(database.name + suffix)
                    moves.replace(None if suffix else dump, place_of, database.parent)
            move_files(manifest, in_data, in_models, settings, moves)
            schema = None if is_embedded else _restore_postgresql(settings, dump)
        except BaseException:
            moves.undo()
            raise
    aside = (*sorted(moves.aside), *([f"schema {schema}"] if schema else []))
    return Restored(manifest, aside)


def _restore_postgresql(settings: Settings, dump: Path) -> str | None:
    url = store_url(settings)
    schema = restore_postgresql(url, dump)
    try:
        asyncio.run(_migrate(settings))
    except NotReady as error:
        put_back(url, schema)
        raise BackupRefused(f"the backup cannot be migrated: {error.__cause__}") from error
    return schema


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
    same = identical(settings.models, manifest)
    units = {unit_of(one) for one in manifest.below(MODELS)} - same
    places += [settings.models / unit for unit in sorted(units)]
    full = next((one for one in places if holds_something(one)), None)
    if full is not None and not replace:
        raise BackupRefused(
            f"{full} exists: --replace moves what is replaced aside and restores the backup"
        )


async def _migrate(settings: Settings) -> None:
    async with open_database(store_url(settings)):
        pass
