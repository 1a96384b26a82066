"""Accounts by name."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text, update

from auth.principal import ALL_SCOPES, Scope
from auth.store.accounts import Account, AccountExists, Change, Kind, LastAdmin, is_name
from auth.store.tables import MAX_NAME_CHARS, AccountRow, SessionRow
from schemas.errors import NotReady
from tests.support.auth.identity_kit import HASH, PHONE, SCOPES, START, Kit

pytestmark = [pytest.mark.anyio, pytest.mark.sql]

CLASSIFY = frozenset({Scope.CLASSIFY})
ADMIN = frozenset({Scope.ADMIN, Scope.CLASSIFY})
ODD_NAMES = [
    "ünï",
    "名前",
    "📷",
    "o'brien",
    '"; DROP TABLE accounts; --',
    "%",
    "a b",
    "\\",
    "a" * 100,
]


@pytest.mark.parametrize("models", [None, frozenset(), frozenset({"cats", "dogs"})])
@pytest.mark.parametrize("kind", list(Kind))
async def test_added_account_is_read_back_unchanged(
    kit: Kit, kind: Kind, models: frozenset[str] | None
) -> None:
    added = Account("anna", kind, HASH, ALL_SCOPES, models, True, True, START)  # noqa: FBT003 - all set
    await kit.accounts.add(added)
    assert await kit.accounts.get("anna") == added
    assert await kit.accounts.all() == [added]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_unusual_account_names_are_stored_unchanged(kit: Kit, name: str) -> None:
    assert is_name(name)
    await kit.add(name)
    await kit.add("other")
    account = await kit.accounts.get(name)
    assert account is not None
    assert account.name == name
    assert await kit.accounts.change(name, Change(is_disabled=True))
    assert await kit.accounts.remove(name)
    assert [left.name for left in await kit.accounts.all()] == ["other"]


@pytest.mark.parametrize(
    "name",
    ["", "a" * (MAX_NAME_CHARS + 1), "anna\0", "an\nna", "\ud800", "keycloak|anna", "a\u202eb"],
)
def test_unsafe_account_names_are_invalid(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("name", ["", "Anna", "anna ", "ann%", "' OR '1'='1", "äñña"])
async def test_similar_name_matches_no_account(kit: Kit, name: str) -> None:
    await kit.add("anna")
    assert await kit.accounts.get(name) is None
    assert not await kit.accounts.change(name, Change(is_disabled=True))
    assert not await kit.accounts.remove(name)
    assert len(await kit.accounts.all()) == 1


async def test_accounts_are_listed_by_name_and_kind(kit: Kit) -> None:
    assert await kit.accounts.all() == []
    for name, kind in (("carl", Kind.PERSON), ("camera", Kind.CLIENT), ("anna", Kind.PERSON)):
        await kit.add(name, kind)
    assert [one.name for one in await kit.accounts.all()] == ["anna", "camera", "carl"]
    assert [one.name for one in await kit.accounts.all(Kind.PERSON)] == ["anna", "carl"]
    assert [one.name for one in await kit.accounts.all(Kind.CLIENT)] == ["camera"]


async def test_account_name_is_unique_across_kinds(kit: Kit) -> None:
    first = await kit.add("anna")
    for kind in Kind:
        with pytest.raises(AccountExists):
            await kit.add("anna", kind, scopes=ALL_SCOPES)
    assert await kit.accounts.get("anna") == first


async def test_concurrent_adds_create_one_account(kit: Kit) -> None:
    outcomes = await asyncio.gather(*(kit.add("anna") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AccountExists) for outcome in outcomes) == 7


async def test_change_affects_only_named_account_and_fields(kit: Kit) -> None:
    before = {name: await kit.add(name) for name in ("anna", "bert")}
    assert await kit.accounts.change("anna", Change(secret_hash="new"))
    assert await kit.accounts.change("anna", Change(scopes=CLASSIFY))
    assert await kit.accounts.change("anna", Change(is_disabled=True))
    anna, bert = await kit.accounts.all()
    assert (anna.secret_hash, anna.scopes, anna.is_disabled) == ("new", CLASSIFY, True)
    assert (anna.kind, anna.created) == (before["anna"].kind, before["anna"].created)
    assert bert == before["bert"]
    assert await kit.accounts.change("anna", Change(scopes=frozenset(), is_disabled=False))
    changed = await kit.accounts.get("anna")
    assert changed is not None
    assert (changed.scopes, changed.is_disabled) == (frozenset(), False)


async def test_empty_change_reports_whether_account_exists(kit: Kit) -> None:
    before = await kit.add("anna")
    assert await kit.accounts.change("anna", Change())
    assert await kit.accounts.change("anna", Change(), Kind.PERSON)
    assert not await kit.accounts.change("anna", Change(), Kind.CLIENT)
    assert not await kit.accounts.change("bert", Change())
    assert await kit.accounts.get("anna") == before


async def test_account_of_another_kind_is_not_changed_or_removed(kit: Kit) -> None:
    before = await kit.add("camera", Kind.CLIENT)
    assert not await kit.accounts.change("camera", Change(is_disabled=True), Kind.PERSON)
    assert not await kit.accounts.remove("camera", Kind.PERSON)
    assert await kit.accounts.get("camera") == before
    assert await kit.accounts.remove("camera", Kind.CLIENT)


async def test_account_removal_deletes_only_its_sessions(kit: Kit) -> None:
    for name in ("anna", "bert"):
        await kit.add(name)
        await kit.sessions.open(name, name, SCOPES, PHONE)
    assert await kit.accounts.remove("anna")
    assert not await kit.accounts.remove("anna")
    assert await kit.count(SessionRow) == 1
    assert len(await kit.sessions.of_account("bert")) == 1


@pytest.mark.parametrize("way", ["remove", "disable", "demote"])
async def test_last_administrator_cannot_be_removed_disabled_or_demoted(kit: Kit, way: str) -> None:
    await kit.add("anna", scopes=ADMIN)
    await kit.add("bert", scopes=ADMIN)
    await kit.add("device", Kind.CLIENT, scopes=ADMIN)
    await kit.add("carl")

    async def lose(name: str) -> None:
        if way == "remove":
            await kit.accounts.remove(name)
        else:
            change = Change(is_disabled=True) if way == "disable" else Change(scopes=CLASSIFY)
            await kit.accounts.change(name, change)

    for name in ("carl", "device", "anna"):
        await lose(name)
    before = await kit.accounts.all()
    with pytest.raises(LastAdmin):
        await lose("bert")
    assert await kit.accounts.all() == before
    assert await kit.accounts.change("bert", Change(secret_hash="new", scopes=ADMIN))


async def test_concurrent_mutual_removal_leaves_one_administrator(kit: Kit) -> None:
    for _ in range(5):
        for name in ("anna", "bert"):
            await kit.add(name, scopes=ADMIN)
        outcomes = await asyncio.gather(
            kit.accounts.remove("anna"), kit.accounts.remove("bert"), return_exceptions=True
        )
        assert outcomes.count(True) == 1
        (last,) = await kit.accounts.all()
        async with kit.database.write() as session:
            await session.execute(text("DELETE FROM accounts"))
        assert last.scopes == ADMIN


async def test_unknown_stored_scope_grants_nothing(kit: Kit) -> None:
    await kit.add("anna")
    async with kit.database.write() as session:
        await session.execute(update(AccountRow).values(scopes="classify administer teleport"))
    account = await kit.accounts.get("anna")
    assert account is not None
    assert account.scopes == CLASSIFY


async def test_failing_database_raises_not_ready(kit: Kit) -> None:
    async with kit.database.write() as session:
        await session.execute(text("DROP TABLE sessions"))
        await session.execute(text("DROP TABLE accounts"))
    for use in (
        kit.accounts.get("anna"),
        kit.accounts.all(),
        kit.add("anna"),
        kit.accounts.change("anna", Change(secret_hash="new")),
        kit.accounts.remove("anna"),
    ):
        with pytest.raises(NotReady) as caught:
            await use
        assert "accounts" not in caught.value.detail
