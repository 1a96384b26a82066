"""Secret files: accepted and refused ones, and no disclosure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.settings import SettingsError, load_settings

SECRET = "a secret nobody may see"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the settings name."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("POTOO_SECRETS_DIR", str(folder))
    return folder


def refused() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_secret_file_sets_a_setting_without_its_line_break(folder: Path) -> None:
    (folder / "potoo_admin_password").write_text(f"{SECRET}\n")
    (folder / "POTOO_AUTH__RATE_STORE").write_text("redis://:pass@cache:6379/0")
    settings = load_settings()
    assert settings.admin_password
    assert settings.admin_password.get_secret_value() == SECRET
    assert settings.auth.rate_store
    assert settings.auth.rate_store.get_secret_value() == "redis://:pass@cache:6379/0"


def test_secrets_rank_between_environment_and_settings_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = tmp_path / "potoo.toml"
    toml.write_text("port = 1\nworkers = 1\n[auth]\nissuer = 'file'\naudience = 'file'\n")
    monkeypatch.setenv("POTOO_PORT", "3")
    (folder / "potoo_port").write_text("2")
    (folder / "potoo_workers").write_text("2")
    (folder / "potoo_auth__issuer").write_text("secret")
    settings = load_settings(toml)
    assert (settings.port, settings.workers) == (3, 2)
    assert (settings.auth.issuer, settings.auth.audience) == ("secret", "file")


def test_kubernetes_symlinks_are_followed(folder: Path) -> None:
    version = folder / "..2026_01_01"
    version.mkdir()
    (version / "potoo_admin_password").write_text(SECRET)
    (folder / "..data").symlink_to(version.name)
    (folder / "potoo_admin_password").symlink_to("..data/potoo_admin_password")
    password = load_settings().admin_password
    assert password
    assert password.get_secret_value() == SECRET


def test_symlink_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """It would be ignored without a message."""
    (tmp_path / "elsewhere").write_text(SECRET)
    (folder / "potoo_admin_password").symlink_to(tmp_path / "elsewhere")
    (folder / "keys.pem").symlink_to(tmp_path / "elsewhere")  # which is not a setting of Potoo
    file = folder / "potoo_admin_password"
    assert refused() == f"the secret {file} is a link out of its folder: put the file itself there"


def test_empty_secret_file_is_not_set(folder: Path) -> None:
    (folder / "potoo_admin_password").write_text("\n")
    assert not load_settings().admin_password


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("potoo_database_ulr", "POTOO_DATABASE_URL"),
        ("POTOO_RATE_STORE", "POTOO_AUTH__RATE_STORE"),
        ("potoo_config", None),
        ("potoo_secrets_dir", None),
    ],
)
def test_unknown_secret_name_is_refused_with_a_suggestion(
    folder: Path, name: str, guess: str | None
) -> None:
    (folder / name).write_text(SECRET)
    message = refused()
    assert f"unknown setting among the secrets: {folder / name}" in message
    assert SECRET not in message
    if guess:
        assert f"did you mean {guess}?" in message


def test_unrelated_files_are_ignored(folder: Path) -> None:
    (folder / "potoo-keys.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (folder / "database_url").write_text(SECRET)
    assert load_settings().database_url is None


def test_missing_secrets_folder_is_refused(folder: Path) -> None:
    folder.rmdir()
    assert refused() == f"there is no folder {folder} with secrets"
    folder.write_text("")
    assert refused() == f"there is no folder {folder} with secrets"


def test_every_unreadable_secret_file_is_named(folder: Path) -> None:
    (folder / "potoo_admin_password").write_bytes(b"\xff")
    (folder / "potoo_prot").write_text("1")
    lines = refused().splitlines()
    assert lines[0] == f"cannot read the secret {folder / 'potoo_admin_password'}: it is no text"
    assert "did you mean POTOO_PORT?" in lines[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_secret_file_without_permission_is_named(folder: Path) -> None:
    (folder / "potoo_admin_password").touch(mode=0o000)
    assert refused().endswith("potoo_admin_password: Permission denied")


def test_invalid_secret_is_named_but_not_shown(folder: Path) -> None:
    (folder / "potoo_admin_password").write_text("short")
    (folder / "potoo_auth__rate_store").write_text(SECRET)
    message = refused()
    assert {line.partition(":")[0] for line in message.splitlines()} == {
        "admin_password",
        "auth.rate_store",
    }
    assert SECRET not in message
    assert "short" not in message
