"""Effects of account changes on existing sessions."""

from __future__ import annotations

import asyncio

import pytest

from auth.administration import NewAccount
from auth.grants import IssuedToken
from auth.principal import ALL_SCOPES
from auth.store.accounts import Kind
from auth.store.tables import SessionRow
from schemas.errors import InvalidCredentials
from tests.support.auth.identity_kit import (
    ADMIN,
    CLASSIFY,
    NEW_SECRET,
    PHONE,
    SCOPES,
    SECRET,
    Clock,
    Kit,
    Log,
    call,
    open_kit,
    sign_in,
)

pytestmark = pytest.mark.anyio


async def test_password_change_signs_out_every_device(kit: Kit, log: Log) -> None:
    await kit.add("anna")
    await kit.add("bert")
    devices, bert = [await sign_in(kit) for _ in range(2)], await sign_in(kit, "bert")
    await kit.administration.set_password("anna", NEW_SECRET, by="root")
    for issued in devices:
        assert not await kit.is_accepted(issued.access_token)
        assert issued.refresh_token is not None
        with pytest.raises(InvalidCredentials):
            await kit.grants.refresh(issued.refresh_token, None, PHONE)
    with pytest.raises(InvalidCredentials):
        await sign_in(kit)
    again = await sign_in(kit, secret=NEW_SECRET)
    assert await kit.is_accepted(again.access_token), "at once"
    assert await kit.is_accepted(bert.access_token)
    assert "secret_changed" in [line["event"] for line in log]


async def test_secret_rotation_ends_the_clients_tokens(kit: Kit, clock: Clock) -> None:
    _, secret = await kit.administration.add_client(NewAccount("camera"), by="root")
    before = await call(kit, "camera", secret)
    assert await kit.is_accepted(before.access_token)
    rotated = await kit.administration.rotate_secret("camera", by="root")
    clock.advance(1)  # which was waited for
    assert rotated != secret
    assert not await kit.is_accepted(before.access_token)
    with pytest.raises(InvalidCredentials):
        await call(kit, "camera", secret)
    after = await call(kit, "camera", rotated)
    assert await kit.is_accepted(after.access_token)


async def test_disabled_account_is_refused_until_enabled(kit: Kit, clock: Clock) -> None:
    await kit.add("anna")
    await kit.add("camera", Kind.CLIENT)
    tokens = [await sign_in(kit), await call(kit, "camera", SECRET)]
    for name, kind in (("anna", Kind.PERSON), ("camera", Kind.CLIENT)):
        changed = await kit.administration.change(name, kind, is_disabled=True, by="root")
        assert changed.is_disabled
        assert changed == await kit.accounts.get(name)
    assert [await kit.is_accepted(issued.access_token) for issued in tokens] == [False, False]
    with pytest.raises(InvalidCredentials):
        await sign_in(kit)
    with pytest.raises(InvalidCredentials):
        await call(kit, "camera", SECRET)
    clock.advance(1)
    for name, kind in (("anna", Kind.PERSON), ("camera", Kind.CLIENT)):
        await kit.administration.change(name, kind, is_disabled=False, by="root")
    for issued in (await sign_in(kit), await call(kit, "camera", SECRET)):
        assert await kit.is_accepted(issued.access_token)
    assert [await kit.is_accepted(issued.access_token) for issued in tokens] == [False, False]


async def test_removed_scope_invalidates_issued_tokens(kit: Kit) -> None:
    await kit.add("anna", scopes=SCOPES)
    issued = await sign_in(kit)
    await kit.administration.change("anna", Kind.PERSON, scopes=CLASSIFY, by="root")
    assert not await kit.is_accepted(issued.access_token)
    assert (await sign_in(kit)).scopes == CLASSIFY


async def test_added_scope_keeps_issued_tokens_valid(kit: Kit) -> None:
    await kit.add("anna", scopes=CLASSIFY)
    issued = await sign_in(kit)
    changed = await kit.administration.change("anna", Kind.PERSON, scopes=ALL_SCOPES, by="root")
    assert changed.scopes == ALL_SCOPES
    assert await kit.is_accepted(issued.access_token)
    unchanged = await kit.administration.change("anna", Kind.PERSON, by="root")
    assert unchanged == changed
    assert await kit.is_accepted(issued.access_token)


async def test_recreated_account_does_not_inherit_old_tokens(
    kit: Kit, clock: Clock, log: Log
) -> None:
    await kit.add("anna", scopes=ALL_SCOPES)
    await kit.add("root", scopes=ADMIN)
    await kit.add("camera", Kind.CLIENT)
    old = [await sign_in(kit), await call(kit, "camera", SECRET)]
    await kit.administration.remove("anna", Kind.PERSON, by="root")
    await kit.administration.remove("camera", Kind.CLIENT, by="root")
    assert await kit.count(SessionRow) == 0
    clock.advance(1)  # which was waited for
    await kit.administration.add_person(NewAccount("anna", CLASSIFY), SECRET, by="root")
    await kit.administration.add_person(NewAccount("camera", CLASSIFY), SECRET, by="root")
    assert [await kit.is_accepted(issued.access_token) for issued in old] == [False, False]
    assert old[0].refresh_token is not None
    with pytest.raises(InvalidCredentials):
        await kit.grants.refresh(old[0].refresh_token, None, PHONE)
    for name in ("anna", "camera"):
        issued = await sign_in(kit, name)
        assert await kit.is_accepted(issued.access_token)
    assert [line["event"] for line in log].count("account_removed") == 2


async def test_sign_in_during_removal_gets_no_valid_token(kit: Kit) -> None:
    await kit.add("anna")

    issued, has_begun = list[IssuedToken](), asyncio.Event()

    async def again_and_again() -> None:
        while True:
            issued.append(await sign_in(kit))
            has_begun.set()

    signing_in = asyncio.create_task(again_and_again())
    await has_begun.wait()
    await kit.administration.remove("anna", Kind.PERSON, by="root")
    with pytest.raises(InvalidCredentials):
        await signing_in
    assert not [one for one in issued if await kit.is_accepted(one.access_token)]
    assert await kit.count(SessionRow) == 0


async def test_sign_in_between_session_and_account_removal_is_refused(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kit.add("anna")
    remove, tries = kit.accounts.remove, list[str]()

    async def remove_late(name: str, kind: Kind | None = None) -> bool:
        tries.append(name)
        with pytest.raises(InvalidCredentials):
            await sign_in(kit)
        return await remove(name, kind)

    monkeypatch.setattr(kit.accounts, "remove", remove_late)
    await kit.administration.remove("anna", Kind.PERSON, by="root")
    assert tries == ["anna"]
    assert await kit.accounts.get("anna") is None


async def test_account_changes_reach_other_servers(kit: Kit, tables_url: str, clock: Clock) -> None:
    await kit.add("anna")
    async with open_kit(tables_url, clock) as other:
        issued = await sign_in(other)
        assert await kit.is_accepted(issued.access_token)
        await other.administration.change("anna", Kind.PERSON, is_disabled=True, by="root")
        await kit.revocations.refresh()
        assert not await kit.is_accepted(issued.access_token)
