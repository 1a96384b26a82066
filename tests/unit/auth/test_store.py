"""Accounts in an embedded database."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from auth.principal import ALL_SCOPES, Scope
from auth.store import AccountExists, AccountStore, open_store, sqlite_url
from schemas.errors import NotReady

CLASSIFY = frozenset({Scope.CLASSIFY})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AccountStore]:
    async with open_store(sqlite_url(tmp_path / "accounts.db")) as opened:
        yield opened


@pytest.mark.anyio
async def test_an_account_is_found_as_it_was_added(store: AccountStore) -> None:
    await store.add("anna", "hash", frozenset({Scope.ADMIN, Scope.CLASSIFY}))
    account = await store.get("anna")
    assert account is not None
    assert (account.name, account.password_hash, account.is_disabled) == ("anna", "hash", False)
    assert account.scopes == {Scope.ADMIN, Scope.CLASSIFY}
    assert account.created.tzinfo is UTC
    assert abs(datetime.now(UTC) - account.created) < timedelta(minutes=1)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", "Anna", "anna ", "ann%", "' OR '1'='1", "anna\0"])
async def test_another_name_is_nobody(store: AccountStore, name: str) -> None:
    await store.add("anna", "hash", CLASSIFY)
    assert await store.get(name) is None


@pytest.mark.anyio
async def test_accounts_are_listed_by_name(store: AccountStore) -> None:
    assert await store.list() == []
    for name in ("carl", "anna", "bert"):
        await store.add(name, "hash", ALL_SCOPES)
    assert [account.name for account in await store.list()] == ["anna", "bert", "carl"]


@pytest.mark.anyio
async def test_a_name_can_be_taken_once(store: AccountStore) -> None:
    await store.add("anna", "first", CLASSIFY)
    with pytest.raises(AccountExists):
        await store.add("anna", "second", ALL_SCOPES)
    account = await store.get("anna")
    assert account is not None
    assert account.password_hash == "first"


@pytest.mark.anyio
async def test_a_password_is_changed_for_one_account_alone(store: AccountStore) -> None:
    await store.add("anna", "old", CLASSIFY)
    await store.add("bert", "old", CLASSIFY)
    assert await store.set_password("anna", "new")
    assert not await store.set_password("carl", "new")
    assert [account.password_hash for account in await store.list()] == ["new", "old"]


@pytest.mark.anyio
async def test_accounts_outlive_the_process(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "accounts.db")
    async with open_store(url) as first:
        await first.add("anna", "hash", CLASSIFY)
    async with open_store(url) as second:
        assert await second.get("anna")


@pytest.mark.anyio
async def test_two_processes_may_have_it_open(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "accounts.db")
    async with open_store(url) as first, open_store(url) as second:
        await first.add("anna", "hash", CLASSIFY)
        await second.add("bert", "hash", CLASSIFY)
        assert len(await first.list()) == len(await second.list()) == 2


@pytest.mark.anyio
async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "data" / "accounts.db"
    async with open_store(sqlite_url(file)) as store:
        await store.add("anna", "hash", CLASSIFY)
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert found["accounts.db"] == 0o600
    assert set(found.values()) == {0o600}, "the files beside it hold the same rows"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "with#hash", "ünï", "with?mark", "with%41percent"]
)
def test_the_database_lies_where_it_was_asked_for(tmp_path: Path, folder: str) -> None:
    file = tmp_path / folder / "accounts.db"
    assert make_url(sqlite_url(file)).database == str(file)


@pytest.mark.anyio
async def test_a_scope_of_a_later_version_grants_nothing(store: AccountStore) -> None:
    await store.add("anna", "hash", CLASSIFY)
    async with store._engine.begin() as connection:
        await connection.execute(text("UPDATE accounts SET scopes = 'classify later'"))
    account = await store.get("anna")
    assert account is not None
    assert account.scopes == CLASSIFY


@pytest.mark.anyio
async def test_a_database_that_does_not_answer_is_not_ready(store: AccountStore) -> None:
    async with store._engine.begin() as connection:
        await connection.execute(text("DROP TABLE accounts"))
    for use in (
        store.get("anna"),
        store.list(),
        store.add("anna", "hash", CLASSIFY),
        store.set_password("anna", "hash"),
    ):
        with pytest.raises(NotReady) as caught:
            await use
        assert caught.value.retry_after == 5
        assert "SQL" not in caught.value.detail


@pytest.mark.anyio
async def test_a_file_that_is_no_database_is_not_ready(tmp_path: Path) -> None:
    file = tmp_path / "accounts.db"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(NotReady):
        async with open_store(sqlite_url(file)):
            pass
