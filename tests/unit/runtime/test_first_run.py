"""The first start creates accounts, and the second one changes nothing."""

from __future__ import annotations

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth.administration import NewAccount
from auth.passwords import MAX_PASSWORD_CHARS, verify_password
from auth.principal import ALL_SCOPES, Origin, Principal
from auth.store.accounts import Account, Kind
from observability.metrics.metrics import Metrics
from schemas.errors import InvalidCredentials
from service.runtime.first_run import FIRST_ACCOUNT, PAGE_SCOPES, make_link, prepare
from service.runtime.identity import open_identity
from service.settings import Settings, SettingsError, load_settings


def accounts(settings: Settings) -> list[Account]:
    async def listed() -> list[Account]:
        async with open_identity(settings, Metrics()) as identity:
            return await identity.accounts.all()

    return asyncio.run(listed())


def redeemed(settings: Settings, code: str) -> Principal:
    async def signed_in() -> Principal:
        async with open_identity(settings, Metrics()) as identity:
            issued = await identity.grants.redeem(code, Origin("127.0.0.1", "Firefox"))
            return await identity.authenticator.authenticate(issued.access_token)

    return asyncio.run(signed_in())


def linked(settings: Settings) -> Principal:
    """The account that signs in with a new link."""
    link = make_link(settings)
    assert link is not None
    return redeemed(settings, link.code)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


def test_first_start_creates_an_account_and_shows_its_password(settings: Settings) -> None:
    welcome = prepare(settings)
    (account,) = accounts(settings)
    assert (welcome.name, account.name, account.scopes) == (
        FIRST_ACCOUNT,
        FIRST_ACCOUNT,
        ALL_SCOPES,
    )
    assert welcome.password is not None
    assert verify_password(account.secret_hash, welcome.password)


def test_created_files_are_private_to_the_owner(settings: Settings) -> None:
    prepare(settings)
    for path in (settings.data_dir, *settings.data_dir.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_link_signs_in_for_the_page_once(settings: Settings) -> None:
    prepare(settings)
    link = make_link(settings)
    assert link is not None
    assert len(link.code) < 80
    caller = redeemed(settings, link.code)
    assert (caller.name, caller.scopes) == (FIRST_ACCOUNT, PAGE_SCOPES)
    with pytest.raises(InvalidCredentials, match="no longer works"):
        redeemed(settings, link.code)


def test_new_link_ends_the_one_before(settings: Settings) -> None:
    prepare(settings)
    first, second = make_link(settings), make_link(settings)
    assert first is not None
    assert second is not None
    with pytest.raises(InvalidCredentials):
        redeemed(settings, first.code)
    assert redeemed(settings, second.code).name == FIRST_ACCOUNT


def test_refresh_token_is_no_link(settings: Settings) -> None:
    async def attempt() -> None:
        async with open_identity(settings, Metrics()) as identity:
            scopes, origin = PAGE_SCOPES, Origin("127.0.0.1", "Firefox")
            _, token = await identity.sessions.open(FIRST_ACCOUNT, "app", scopes, origin)
            with pytest.raises(InvalidCredentials):
                await identity.grants.redeem(token, origin)
            assert await identity.sessions.find(token) is not None

    prepare(settings)
    asyncio.run(attempt())


def test_link_is_for_whoever_may_still_sign_in(settings: Settings) -> None:
    async def replace_the_first() -> None:
        async with open_identity(settings, Metrics()) as identity:
            administration = identity.administration
            await administration.add_person(NewAccount("zoe", ALL_SCOPES), "a password", by="test")
            await administration.change(FIRST_ACCOUNT, Kind.PERSON, by="test", is_disabled=True)

    prepare(settings)
    link = make_link(settings)
    assert link is not None
    asyncio.run(replace_the_first())
    with pytest.raises(InvalidCredentials):
        redeemed(settings, link.code)
    assert linked(settings).name == "zoe"


def test_second_start_changes_and_shows_nothing(settings: Settings) -> None:
    prepare(settings)
    before = accounts(settings)
    welcome = prepare(settings)
    assert welcome.password is None
    assert accounts(settings) == before
    assert len(list((settings.data_dir / "keys").iterdir())) == 1


def test_configured_password_is_used_and_not_shown(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, admin_password=SecretStr("correct horse"))
    welcome = prepare(settings)
    assert welcome.password is None
    assert verify_password(accounts(settings)[0].secret_hash, "correct horse")


def test_configured_password_does_not_change_an_existing_account(tmp_path: Path) -> None:
    first = prepare(load_settings(data_dir=tmp_path))
    later = load_settings(data_dir=tmp_path, admin_password=SecretStr("correct horse"))
    assert prepare(later).password is None
    assert first.password is not None
    assert verify_password(accounts(later)[0].secret_hash, first.password)


@pytest.mark.parametrize("password", ["short", "p" * (MAX_PASSWORD_CHARS + 1)])
def test_configured_password_must_have_a_valid_length(tmp_path: Path, password: str) -> None:
    with pytest.raises(SettingsError, match="8 to 1024 characters"):
        load_settings(data_dir=tmp_path, admin_password=SecretStr(password))


def test_concurrent_first_starts_create_one_account(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        welcomes = list(pool.map(lambda _: prepare(settings), range(4)))
    assert sum(welcome.password is not None for welcome in welcomes) == 1
    assert [account.name for account in accounts(settings)] == [FIRST_ACCOUNT]
    assert linked(settings).name == FIRST_ACCOUNT, "whoever made the key that signed it"


def test_configured_keys_are_used_without_creating_any(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data", auth={"signing_key": "A" * 64})
    prepare(settings)
    assert linked(settings).name == FIRST_ACCOUNT
    assert not (settings.data_dir / "keys").exists()


def test_unreachable_store_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://potoo:a-secret-nobody-may-see@127.0.0.1:1/potoo"
    settings = load_settings(data_dir=tmp_path, database_url=url)
    with pytest.raises(SettingsError, match=r"the database of database_url: .+") as caught:
        prepare(settings)
    assert "nobody" not in str(caught.value)


def test_damaged_store_is_named_by_its_folder(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "potoo.db").write_bytes(b"no database " * 1000)
    with pytest.raises(SettingsError, match="cannot use the accounts in") as caught:
        prepare(settings)
    assert str(settings.data_dir) in str(caught.value)
    assert "file is not a database" in str(caught.value)
