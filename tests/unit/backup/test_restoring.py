"""Restores: into an empty folder, over an existing one, from an older version."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from auth.store.copies import PREFIX
from auth.store.database import HEAD
from service.backup.creating import back_up
from service.backup.manifest import BackupRefused
from service.backup.restoring import restore
from service.runtime.identity import COPIES_FOLDER, KEYS_FOLDER, STORE_FILE, key_folder
from service.settings import Settings, load_settings
from tests.unit.backup.conftest import ALL, PASSPHRASE, Site, fill, snapshot


def rows(settings: Settings, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(settings.data_dir / STORE_FILE)) as database:
        return database.execute(query).fetchall()


def write(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(settings.data_dir / STORE_FILE)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


DATASET = "INSERT INTO datasets VALUES ('birds', 'single', '[]', 1, 'anna', 10, 10)"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_everything_comes_back_in_an_empty_folder(
    site: Site, elsewhere: Settings, passphrase: str | None
) -> None:
    write(site.settings, DATASET)
    restore(elsewhere, site.back_up(*ALL, passphrase=passphrase), passphrase)
    old, new = snapshot(site.settings.data_dir), snapshot(elsewhere.data_dir)
    assert old.keys() == new.keys()
    assert {name for name in old if old[name] != new[name]} <= {STORE_FILE}
    assert rows(elsewhere, "SELECT name FROM datasets") == [("birds",)]


def test_secrets_are_for_the_owner_and_keys_keep_their_age(site: Site, elsewhere: Settings) -> None:
    restore(elsewhere, site.back_up(), None)
    (key,) = (elsewhere.data_dir / KEYS_FOLDER).iterdir()
    for secret in (key, elsewhere.data_dir / STORE_FILE):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert key_folder(elsewhere).read() == key_folder(site.settings).read()


def test_rows_of_data_sets_are_left_out_with_their_photos(site: Site, elsewhere: Settings) -> None:
    write(site.settings, DATASET)
    restore(elsewhere, site.back_up("events"), None)
    assert rows(elsewhere, "SELECT name FROM datasets") == []
    assert rows(site.settings, "SELECT name FROM datasets") == [("birds",)]


def test_used_folder_is_refused_without_replace(site: Site, elsewhere: Settings) -> None:
    fill(elsewhere)
    before = snapshot(elsewhere.data_dir)
    with pytest.raises(BackupRefused, match="--replace"):
        restore(elsewhere, site.back_up(*ALL), None)
    assert snapshot(elsewhere.data_dir) == before


def test_replaced_files_are_kept_aside(site: Site, elsewhere: Settings) -> None:
    fill(elsewhere)
    write(elsewhere, DATASET)
    before = snapshot(elsewhere.data_dir)
    done = restore(elsewhere, site.back_up(*ALL), None, replace=True)
    (aside,) = {Path(one) for one in done.aside if Path(one).parent == elsewhere.data_dir}
    kept = snapshot(aside)
    assert kept[STORE_FILE] == before[STORE_FILE]
    assert {name for name in before if name.startswith("keys/")} <= set(kept)
    assert key_folder(elsewhere).read() == key_folder(site.settings).read()
    assert rows(elsewhere, "SELECT name FROM datasets") == []


def test_parts_that_a_backup_lacks_stay(site: Site, elsewhere: Settings) -> None:
    fill(elsewhere)
    restore(elsewhere, site.back_up(), None, replace=True)
    assert (elsewhere.models / "colours" / "1" / "model.onnx").exists()
    assert (elsewhere.data_dir / "teach" / "photos" / "ab" / "cdef").exists()


def test_models_that_are_there_already_are_left_alone(site: Site, elsewhere: Settings) -> None:
    version = elsewhere.models / "colours" / "1"
    shutil.copytree(site.settings.models, elsewhere.models)
    inode = (version / "model.onnx").stat().st_ino
    done = restore(elsewhere, site.back_up(*ALL), None)
    assert (done.aside, (version / "model.onnx").stat().st_ino) == ((), inode)


def test_open_database_is_not_replaced(site: Site, elsewhere: Settings) -> None:
    fill(elsewhere)
    file = site.back_up()
    with closing(sqlite3.connect(elsewhere.data_dir / STORE_FILE)) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute("SELECT * FROM accounts").fetchall()
        with pytest.raises(BackupRefused, match="stop it first"):
            restore(elsewhere, file, None, replace=True)


def test_failed_move_puts_everything_back(site: Site, elsewhere: Settings) -> None:
    fill(elsewhere)
    before = snapshot(elsewhere.data_dir)
    photos = elsewhere.data_dir / "teach"
    (elsewhere.data_dir / ".before").write_text("")
    file = site.back_up(*ALL)
    # Of another file system the folder of photos cannot be renamed; a link to one stands for it.
    (photos / "photos").rename(site.folder / "photos")
    photos.rmdir()
    photos.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="teach"):
        restore(elsewhere, file, None, replace=True)
    after = snapshot(elsewhere.data_dir)
    assert {name: after.get(name) for name in before if "teach" not in name} == {
        name: content for name, content in before.items() if "teach" not in name
    }


def older(settings: Settings) -> None:
    """Give the database the tables of the release before those of data sets."""
    write(
        settings,
        *(f"DROP TABLE {table}" for table in ("teach_runs", "photos", "datasets")),
        "UPDATE alembic_version SET version_num = '0005'",
    )


def test_older_backup_is_migrated(site: Site, elsewhere: Settings) -> None:
    older(site.settings)
    file = site.back_up()
    assert site.manifest(file).migration == "0005"
    restore(elsewhere, file, None)
    assert rows(elsewhere, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows(elsewhere, "SELECT * FROM datasets") == []


def test_store_is_copied_before_each_migration_and_three_copies_kept(site: Site) -> None:
    from service.cli.identity.accounts import with_identity

    async def nothing(_: object) -> None:
        pass

    for _ in range(4):
        older(site.settings)
        with_identity(site.settings, nothing)
    copies = sorted((site.settings.data_dir / COPIES_FOLDER).iterdir())
    assert len(copies) == 3
    for copy in copies:
        assert copy.name.startswith(f"{PREFIX}0005-")
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as database:
            assert database.execute("SELECT * FROM alembic_version").fetchall() == [("0005",)]


def test_new_store_and_a_current_one_are_not_copied(site: Site) -> None:
    assert not (site.settings.data_dir / COPIES_FOLDER).exists()


def test_folder_without_accounts_is_not_backed_up(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "empty")
    with pytest.raises(BackupRefused, match="there is nothing to back up"):
        back_up(settings, tmp_path / "x.backup", (), None)
    assert not (tmp_path / "x.backup").exists()
