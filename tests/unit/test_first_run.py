"""What the first start makes, and that the second one leaves it alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth.keys import load_keys
from auth.passwords import MAX_PASSWORD_CHARS, verify_password
from auth.principal import ALL_SCOPES
from auth.store import Account, open_store, sqlite_url
from auth.tokens import TokenCodec
from service.first_run import FIRST_ACCOUNT, prepare
from service.settings import Settings, SettingsError, load_settings


def accounts(settings: Settings) -> list[Account]:
    async def listed() -> list[Account]:
        async with open_store(sqlite_url(settings.data_dir / "potoo.db")) as store:
            return await store.list()

    return asyncio.run(listed())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


def test_the_first_start_makes_an_account_and_says_its_password(settings: Settings) -> None:
    welcome = prepare(settings)
    (account,) = accounts(settings)
    assert (welcome.name, account.name, account.scopes) == (
        FIRST_ACCOUNT,
        FIRST_ACCOUNT,
        ALL_SCOPES,
    )
    assert welcome.password is not None
    assert verify_password(account.password_hash, welcome.password)


def test_its_token_signs_in_at_once(settings: Settings) -> None:
    welcome = prepare(settings)
    assert welcome.token is not None
    codec = TokenCodec(load_keys(settings.data_dir / "keys"), settings.auth)
    principal = codec.verify(welcome.token)
    assert (principal.name, principal.scopes) == (FIRST_ACCOUNT, ALL_SCOPES)
    assert welcome.token_minutes == settings.auth.access_token_seconds // 60


def test_the_second_start_changes_and_says_nothing(settings: Settings) -> None:
    prepare(settings)
    before = accounts(settings)
    welcome = prepare(settings)
    assert (welcome.password, welcome.token) == (None, None)
    assert accounts(settings) == before
    assert len(list((settings.data_dir / "keys").iterdir())) == 1


def test_a_given_password_is_used_and_not_said(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, admin_password=SecretStr("correct horse"))
    welcome = prepare(settings)
    assert welcome.password is None
    assert welcome.token is not None
    assert verify_password(accounts(settings)[0].password_hash, "correct horse")


def test_a_given_password_changes_no_account_that_is_there(tmp_path: Path) -> None:
    first = prepare(load_settings(data_dir=tmp_path))
    later = load_settings(data_dir=tmp_path, admin_password=SecretStr("correct horse"))
    assert prepare(later).token is None
    assert first.password is not None
    assert verify_password(accounts(later)[0].password_hash, first.password)


@pytest.mark.parametrize("password", ["short", "p" * (MAX_PASSWORD_CHARS + 1)])
def test_a_given_password_is_held_to_the_usual_limits(tmp_path: Path, password: str) -> None:
    with pytest.raises(SettingsError, match="8 to 1024 characters"):
        load_settings(data_dir=tmp_path, admin_password=SecretStr(password))
