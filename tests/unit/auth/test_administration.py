"""Changes to users and clients, and their effects on sessions and tokens."""

from __future__ import annotations

import asyncio

import pytest

from auth.administration import MAX_MODELS_CHARS, NewAccount
from auth.passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from auth.principal import DEFAULT_SCOPES, Scope
from auth.store.accounts import Kind
from schemas.errors import Conflict, InvalidCredentials, InvalidParameter, NotFound
from tests.support.auth.identity_kit import (
    ADMIN,
    CLASSIFY,
    NEW_SECRET,
    SCOPES,
    SECRET,
    Kit,
    Log,
    call,
    sign_in,
)

pytestmark = pytest.mark.anyio


async def test_added_person_can_sign_in(kit: Kit, log: Log) -> None:
    new = NewAccount("anna", CLASSIFY, frozenset({"cats"}))
    added = await kit.administration.add_person(new, SECRET, by="root")
    assert (added.kind, added.scopes, added.models) == (Kind.PERSON, CLASSIFY, new.models)
    assert (added.created, added.is_disabled) == (kit.clock.now, False)
    assert await kit.administration.get("anna", Kind.PERSON) == added
    assert await kit.administration.all(Kind.PERSON) == [added]
    assert await kit.administration.all(Kind.CLIENT) == []
    assert (await sign_in(kit)).scopes == CLASSIFY
    assert (log[0]["event"], log[0]["account"], log[0]["by"]) == ("account_added", "anna", "root")


async def test_added_client_gets_a_working_secret(kit: Kit) -> None:
    new = NewAccount("camera", may_introspect=True)
    added, secret = await kit.administration.add_client(new, by="root")
    _, other = await kit.administration.add_client(NewAccount("backend"), by="root")
    assert (added.kind, added.scopes, added.may_introspect) == (Kind.CLIENT, DEFAULT_SCOPES, True)
    assert secret.startswith("pcs_")
    assert len(secret) > 40
    assert secret != other
    assert (await call(kit, "camera", secret)).scopes == DEFAULT_SCOPES
    with pytest.raises(InvalidCredentials):
        await call(kit, "camera", other)


@pytest.mark.parametrize(
    "name", ["", "a" * 101, "anna\0", "\0", "an\nna", "\ud800", "sso|anna", "a\u202eb", "\x7f"]
)
async def test_invalid_name_is_refused(kit: Kit, name: str) -> None:
    for adding in (
        kit.administration.add_person(NewAccount(name), SECRET, by="root"),
        kit.administration.add_client(NewAccount(name), by="root"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            await adding
        assert [place for place, _ in caught.value.violations] == ["/body/name"]
    for kind in Kind:
        with pytest.raises(NotFound):
            await kit.administration.get(name, kind)
        with pytest.raises(NotFound):
            await kit.administration.change(name, kind, is_disabled=True, by="root")
        with pytest.raises(NotFound):
            await kit.administration.remove(name, kind, by="root")
    with pytest.raises(NotFound):
        await kit.administration.set_password(name, SECRET, by="root")
    assert await kit.accounts.all() == []


@pytest.mark.parametrize(
    "name", ["ünï", "名前", "📷", "o'brien", "a b", "%", "../../etc", "a" * 100]
)
async def test_unusual_names_are_accepted(kit: Kit, name: str) -> None:
    await kit.administration.add_person(NewAccount(name), SECRET, by="root")
    issued = await sign_in(kit, name)
    assert (await kit.authenticator.authenticate(issued.access_token)).name == name
    await kit.administration.remove(name, Kind.PERSON, by="root")
    assert not await kit.is_accepted(issued.access_token)


@pytest.mark.parametrize(
    "password",
    ["", "p" * (MIN_PASSWORD_CHARS - 1), "p" * (MAX_PASSWORD_CHARS + 1), "\ud800" * 10],
)
async def test_invalid_password_is_refused(kit: Kit, password: str) -> None:
    await kit.add("anna")
    for use in (
        kit.administration.add_person(NewAccount("bert"), password, by="root"),
        kit.administration.set_password("anna", password, by="root"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            await use
        assert [place for place, _ in caught.value.violations] == ["/body/password"]
    assert (await sign_in(kit)).scopes == SCOPES


async def test_model_list_above_storage_limit_is_refused(kit: Kit) -> None:
    models = frozenset(f"model{number:04}" for number in range(MAX_MODELS_CHARS // 10 + 1))
    with pytest.raises(InvalidParameter) as caught:
        await kit.administration.add_client(NewAccount("camera", models=models), by="root")
    assert [place for place, _ in caught.value.violations] == ["/body/models"]
    fewer = frozenset(sorted(models)[1:])
    added, _ = await kit.administration.add_client(NewAccount("camera", models=fewer), by="root")
    assert await kit.accounts.get("camera") == added


async def test_name_taken_by_another_kind_is_a_conflict(kit: Kit) -> None:
    await kit.add("anna")
    for adding in (
        kit.administration.add_person(NewAccount("anna"), NEW_SECRET, by="root"),
        kit.administration.add_client(NewAccount("anna"), by="root"),
    ):
        with pytest.raises(Conflict):
            await adding
    assert (await sign_in(kit)).scopes == SCOPES


@pytest.mark.parametrize("kind", list(Kind))
async def test_unknown_name_or_wrong_kind_is_not_found(kit: Kit, kind: Kind) -> None:
    await kit.add("other", Kind.CLIENT if kind is Kind.PERSON else Kind.PERSON)
    administration = kit.administration
    for name in ("nobody", "other"):
        set_secret = (
            administration.set_password(name, SECRET, by="root")
            if kind is Kind.PERSON
            else administration.rotate_secret(name, by="root")
        )
        for use in (
            set_secret,
            administration.get(name, kind),
            administration.change(name, kind, is_disabled=True, by="root"),
            administration.remove(name, kind, by="root"),
        ):
            with pytest.raises(NotFound):
                await use
    (other,) = await kit.accounts.all()
    assert not other.is_disabled


@pytest.mark.parametrize("way", ["remove", "disable", "demote"])
async def test_last_administrator_cannot_be_removed_disabled_or_demoted(kit: Kit, way: str) -> None:
    await kit.add("anna", scopes=ADMIN)
    await kit.add("device", Kind.CLIENT, scopes=ADMIN)
    issued = await sign_in(kit)

    async def lose(name: str) -> None:
        if way == "remove":
            await kit.administration.remove(name, Kind.PERSON, by="root")
        elif way == "disable":
            await kit.administration.change(name, Kind.PERSON, is_disabled=True, by="root")
        else:
            await kit.administration.change(name, Kind.PERSON, scopes=CLASSIFY, by="root")

    with pytest.raises(Conflict):
        await lose("anna")
    assert await kit.is_accepted(issued.access_token), "nothing has happened"
    await kit.add("bert", scopes=ADMIN)
    outcomes = await asyncio.gather(lose("anna"), lose("bert"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Conflict) == 1
    (left,) = [
        account
        for account in await kit.accounts.all(Kind.PERSON)
        if Scope.ADMIN in account.scopes and not account.is_disabled
    ]
    assert (await sign_in(kit, left.name)).scopes == ADMIN


async def test_security_log_records_actor_and_change_without_secrets(kit: Kit, log: Log) -> None:
    administration = kit.administration
    await administration.add_person(NewAccount("anna"), SECRET, by="root")
    await administration.set_password("anna", NEW_SECRET, by="root")
    _, first = await administration.add_client(NewAccount("camera"), by="root")
    second = await administration.rotate_secret("camera", by="root")
    await administration.change("anna", Kind.PERSON, is_disabled=True, by="root")
    await administration.remove("anna", Kind.PERSON, by="root")
    done = [(line["event"], line["account"], line["by"]) for line in log if "by" in line]
    assert done == [
        ("account_added", "anna", "root"),
        ("secret_changed", "anna", "root"),
        ("account_added", "camera", "root"),
        ("secret_changed", "camera", "root"),
        ("account_changed", "anna", "root"),
        ("account_removed", "anna", "root"),
    ]
    texts = repr(log)
    for secret in (SECRET, NEW_SECRET, first, second, "argon2"):
        assert secret not in texts
