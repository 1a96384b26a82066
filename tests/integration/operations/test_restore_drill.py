"""Restore drill: a served machine is backed up, lost, and brought back elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.backup.creating import back_up
from service.backup.manifest import BackupRefused, Part
from service.backup.postgresql import ASIDE
from service.backup.restoring import restore
from service.settings import Settings, load_settings
from tests.support.callers.accounts import Person, add_person
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.kit import photo

PNG = {"content-type": "image/png"}
PASSPHRASE = "correct horse battery"
ALL: tuple[Part, ...] = ("models", "datasets", "events")
BINS = "/v1/datasets/bins"


def used(server: LiveServer) -> Person:
    """Make an account, and a data set with a photo."""
    with server.client("teach") as client:
        body = {"name": "bins", "classes": ["glass", "paper"]}
        client.post("/v1/datasets", json=body).raise_for_status()
        client.post(f"{BINS}/photos", content=photo(1), headers=PNG).raise_for_status()
    return add_person(server)


def is_back(server: LiveServer, person: Person, old_token: str) -> bool:
    """Whether the account, tokens signed before, the model and the photo are there."""
    with server.client("teach") as client:
        (kept,) = client.get(f"{BINS}/photos").raise_for_status().json()["photos"]
        content = client.get(f"{BINS}/photos/{kept['id']}/image")
        assert content.status_code == 200, content.text
    assert Person(server, person.name).sign_in()["access_token"]
    with server.client() as client:
        headers = {"authorization": f"Bearer {old_token}", **PNG}
        answer = client.post("/v1/classify", content=plain(), headers=headers)
        assert answer.status_code == 200, answer.text
    return True


def settings_of(folder: Path, database_url: str | None = None) -> Settings:
    url = SecretStr(database_url) if database_url else None
    return load_settings(data_dir=folder / "data", models=folder / "models", database_url=url)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_lost_machine_is_restored_on_another(tmp_path: Path, passphrase: str | None) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "site.backup"
    old.mkdir()
    new.mkdir()
    write_model(old / "models")
    with serve(old, models=old / "models") as server:
        person, token = used(server), server.token()
        back_up(settings_of(old), file, ALL, passphrase)
        add_person(server)
    restore(settings_of(new), file, passphrase)
    with serve(new, models=new / "models", POTOO_ADMIN_PASSWORD="") as server:
        assert is_back(server, person, token)


def test_running_server_is_not_overwritten(tmp_path: Path, colours: Path) -> None:
    file = tmp_path / "site.backup"
    with serve(tmp_path, models=colours) as server:
        settings = load_settings(data_dir=server.data_dir, models=colours)
        back_up(settings, file, (), None)
        with pytest.raises(BackupRefused, match="stop it first"):
            restore(settings, file, None, replace=True)
        assert server.token()


def test_postgresql_is_restored_and_the_old_tables_are_kept(tmp_path: Path, postgres: str) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "site.backup"
    old.mkdir()
    new.mkdir()
    write_model(old / "models")
    with fresh_database(postgres) as first, fresh_database(postgres) as second:
        with serve(old, models=old / "models", POTOO_DATABASE_URL=first) as server:
            person, token = used(server), server.token()
            back_up(settings_of(old, database_url=first), file, ALL, None)
        target = settings_of(new, database_url=second)
        assert restore(target, file, None).aside == ()
        with pytest.raises(BackupRefused, match="the database is not empty"):
            restore(target, file, None)
        (*_, schema) = restore(target, file, None, replace=True).aside
        assert schema.startswith(f"schema {ASIDE}")
        with serve(new, models=new / "models", POTOO_DATABASE_URL=second) as server:
            assert is_back(server, person, token)
            with pytest.raises(BackupRefused, match="in use by"):
                restore(target, file, None, replace=True)


def test_backup_of_sqlite_is_not_restored_into_postgresql(
    tmp_path: Path, colours: Path, postgres: str
) -> None:
    file = tmp_path / "site.backup"
    with serve(tmp_path, models=colours) as server:
        back_up(load_settings(data_dir=server.data_dir, models=colours), file, (), None)
    target = settings_of(tmp_path / "new", database_url=postgres)
    with pytest.raises(BackupRefused, match="the backup is of sqlite"):
        restore(target, file, None)
