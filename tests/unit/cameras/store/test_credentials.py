"""Credentials: encrypted, with a key that only the owner reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.cameras.store.credentials import (
    CredentialBox,
    CredentialsUnreadable,
    Login,
    read_secret,
)

LOGIN = Login("anna", "hunter2hunter2")
KEY = SecretStr(Fernet.generate_key().decode())
TEXTS = st.text(st.characters(codec="utf-8"), max_size=50)


@given(TEXTS, TEXTS)
def test_login_is_read_back(username: str, password: str) -> None:
    box, login = CredentialBox(Path("unused"), KEY), Login(username, password)
    assert box.unseal(box.seal(login)) == login


def test_sealed_login_shows_nothing(tmp_path: Path) -> None:
    box = CredentialBox(tmp_path / "data" / "key")
    assert box.seal(LOGIN) != box.seal(LOGIN)
    assert "hunter2" not in box.seal(LOGIN)
    assert "hunter2" not in repr(LOGIN)


def test_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "data" / "key"
    sealed = CredentialBox(file).seal(LOGIN)
    assert file.stat().st_mode & 0o777 == 0o600
    assert CredentialBox(file).unseal(sealed) == LOGIN
    assert [one.name for one in file.parent.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    CredentialBox(file).seal(LOGIN)
    file.chmod(mode)
    with pytest.raises(CredentialsUnreadable, match="chmod 600"):
        CredentialBox(file).seal(LOGIN)


def test_other_key_and_damage_are_explained_without_the_secret(tmp_path: Path) -> None:
    sealed = CredentialBox(tmp_path / "one").seal(LOGIN)
    for box, text in (
        (CredentialBox(tmp_path / "other"), sealed),
        (CredentialBox(tmp_path / "one"), sealed[:-4]),
        (CredentialBox(tmp_path / "one"), "text"),
    ):
        with pytest.raises(CredentialsUnreadable, match="another key") as caught:
            box.unseal(text)
        assert "hunter2" not in str(caught.value)


def test_malformed_key_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CredentialsUnreadable, match=r"cameras\.credentials_key"):
        CredentialBox(tmp_path / "key", SecretStr("short")).seal(LOGIN)


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("anna:pass:word\n", Login("anna", "pass:word")),
        ("anna\n", Login("anna", "")),
        (":secret", Login("", "secret")),
    ],
)
def test_secret_file_holds_user_and_password(tmp_path: Path, text: str, login: Login) -> None:
    (tmp_path / "door").write_text(text)
    assert read_secret(tmp_path, "door") == login


def test_secret_files_elsewhere_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "outside").write_text("anna:secret")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "binary").write_bytes(b"\xff\xfe")
    for name in ("link", "absent", "folder", "binary"):
        with pytest.raises(CredentialsUnreadable, match="no readable file"):
            read_secret(folder, name)
    with pytest.raises(CredentialsUnreadable, match="is not set"):
        read_secret(None, "door")


def test_mounted_secret_is_read_through_its_links(tmp_path: Path) -> None:
    """As Kubernetes mounts them."""
    (tmp_path / "..data_1").mkdir()
    (tmp_path / "..data_1" / "door").write_text("anna:secret")
    (tmp_path / "..data").symlink_to("..data_1")
    (tmp_path / "door").symlink_to("..data/door")
    assert read_secret(tmp_path, "door") == Login("anna", "secret")
