"""A data folder with an account, a key, a model and a photo, and its backups."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth.store.database import open_database
from service.backup.creating import back_up
from service.backup.manifest import Manifest, Part
from service.runtime.identity import key_folder, store_url
from service.settings import Settings, load_settings

PASSPHRASE = "correct horse battery"
ALL: tuple[Part, ...] = ("models", "datasets", "events")


@dataclass(frozen=True)
class Site:
    """A data folder that is not served."""

    settings: Settings
    folder: Path

    def back_up(self, *parts: Part, passphrase: str | None = None) -> Path:
        file = self.folder / "site.backup"
        back_up(self.settings, file, parts, passphrase)
        return file

    def manifest(self, file: Path) -> Manifest:
        from auth.store.database import HEAD
        from service.backup.archive import read_archive

        return read_archive(file, None, HEAD)


def fill(settings: Settings) -> None:
    """Write what a backup may hold."""

    async def migrate() -> None:
        async with open_database(store_url(settings)):
            pass

    asyncio.run(migrate())
    key_folder(settings).load()
    version = settings.models / "colours" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"a graph" * 50_000)
    (settings.models / "colours" / "serving.json").write_text("{}")
    photo = settings.data_dir / "teach" / "photos" / "ab" / "cdef"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a photo")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    settings = load_settings(data_dir=tmp_path / "data")
    fill(settings)
    return Site(settings, tmp_path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    """The settings of an empty data folder."""
    return load_settings(data_dir=tmp_path / "elsewhere")


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below a folder; without empty files and those of SQLite's locks."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.stat().st_size and not file.name.endswith(("-shm", "-wal"))
    }
