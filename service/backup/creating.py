"""Making a backup, while servers run."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL

from schemas.serving import POLICY_FILE, REPOSITORY_FILE
from service import __version__
from service.backup.archive import digest_file, write_archive
from service.backup.manifest import (
    CAMERA_KEY,
    KEYS,
    MODELS,
    PHOTOS,
    POSTGRESQL_MEMBER,
    SQLITE_MEMBER,
    BackupRefused,
    Kind,
    Manifest,
    Member,
    Part,
)
from service.backup.postgresql import dump_postgresql
from service.backup.sqlite import dump_sqlite
from service.cameras.opening import KEY_FILE
from service.modeltools.sources.built_in import SEEDED_FILE
from service.runtime.identity import KEYS_FOLDER, store_url
from service.settings import Settings
from service.teach.datasets.store.files import FOLDER as PHOTOS_FOLDER

DATASET_TABLES = ("datasets", "photos", "teach_runs")
EVENT_TABLES = ("camera_events", "sensor_events", "sensor_results")


def back_up(
    settings: Settings, target: Path, parts: Collection[Part], passphrase: str | None
) -> Manifest:
    """Write a backup of what the settings name, of mode 0600; a file of that name is replaced.

    The database is copied first: files that it refers to are written before their rows, so those of
    the copy are there unless they are removed meanwhile.

    Args:
        passphrase: encrypts it; None: not encrypted.

    Raises:
        BackupRefused, OSError: nothing is written then.
    """
    url, made = store_url(settings), datetime.now(UTC)
    kind: Kind = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
    with tempfile.TemporaryDirectory(
        prefix=f".{target.name}.", suffix=secrets.token_hex(3), dir=target.parent
    ) as folder:
        staged = Path(folder)
        name = SQLITE_MEMBER if kind == "sqlite" else POSTGRESQL_MEMBER
        dump = staged / Path(name).name
        revision = _dump(url, dump, without=_left_out(parts))
        files = {name: dump}
        for member, source in _small(settings, with_models="models" in parts):
            # Copied, as a server may replace or remove it.
            copy = staged / "small" / member
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(source, copy)  # with its time: keys sign in the order of theirs
            files[member] = copy
        files |= dict(_large(settings, parts))
        manifest = Manifest(
            potoo=__version__,
            migration=revision,
            made=made,
            database=kind,
            parts=tuple(sorted(set(parts))),
            members=tuple(_digested(files)),
        )
        write_archive(target, manifest, files, passphrase)
    return manifest


def _digested(files: Mapping[str, Path]) -> Iterator[Member]:
    """Read the files; a photo that was removed since the folder was listed is left out."""
    for name, file in files.items():
        try:
            yield digest_file(name, file)
        except FileNotFoundError:
            if not name.startswith(f"{PHOTOS}/"):
                raise


def given_keys(settings: Settings) -> list[str]:
    """Return the settings that hold keys, which a backup does not have."""
    of = {
        "auth.signing_key": settings.auth.signing_key,
        "auth.signing_key_file": settings.auth.signing_key_file,
        "cameras.credentials_key": settings.cameras.credentials_key,
    }
    return [name for name, value in of.items() if value is not None]


def _left_out(parts: Collection[Part]) -> set[str]:
    tables = set() if "datasets" in parts else set(DATASET_TABLES)
    return tables if "events" in parts else tables | set(EVENT_TABLES)


def _dump(url: URL, target: Path, without: Collection[str]) -> str:
    if url.get_backend_name() == "postgresql":
        return dump_postgresql(url, target, without)
    file = Path(url.database or "")
    if not file.exists() or not file.stat().st_size:
        raise BackupRefused(f"there is nothing to back up: there are no accounts in {file}")
    return dump_sqlite(file, target, without)


def _small(settings: Settings, *, with_models: bool) -> Iterator[tuple[str, Path]]:
    data, models = settings.data_dir, settings.models
    for file in _files(data / KEYS_FOLDER):
        yield f"{KEYS}/{file.name}", file
    if (data / KEY_FILE).is_file():
        yield CAMERA_KEY, data / KEY_FILE
    seeded = [models / SEEDED_FILE] if with_models else []
    for file in [*seeded, models / REPOSITORY_FILE, *sorted(models.glob(f"[!.]*/{POLICY_FILE}"))]:
        if file.is_file():
            yield f"{MODELS}/{file.relative_to(models).as_posix()}", file


def _large(settings: Settings, parts: Collection[Part]) -> Iterator[tuple[str, Path]]:
    """Find files that never change once they have their names."""
    if "models" in parts:
        for version in sorted(settings.models.glob("[!.]*/[0-9]*")):
            for file in _files(version):
                yield f"{MODELS}/{file.relative_to(settings.models).as_posix()}", file
    if "datasets" in parts:
        photos = settings.data_dir / PHOTOS_FOLDER
        for file in _files(photos):
            yield f"{PHOTOS}/{file.relative_to(photos).as_posix()}", file


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        below = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith(".") for part in below):
            yield file
