"""Password and client credentials grants, and their errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from auth.credentials import Credentials
from auth.grants import IssuedToken
from auth.limiting.lockout import SignInBlocked
from auth.passwords import MAX_PASSWORD_CHARS, hash_password
from auth.principal import Origin, Scope
from auth.store.accounts import Account, Change, Kind
from auth.store.tables import MAX_NAME_CHARS, SessionRow, SignInRow
from observability.logs.audit import Audit
from schemas.errors import InsufficientScope, InvalidCredentials, NotReady, RateLimited
from tests.support.auth.identity_kit import (
    CLASSIFY,
    PHONE,
    SCOPES,
    SECRET,
    Clock,
    Kit,
    Log,
    open_kit,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kit(tables_url: str, clock: Clock) -> AsyncIterator[Kit]:
    """A kit with a user, a client and a disabled user."""
    async with open_kit(tables_url, clock) as kit:
        await kit.add("anna")
        await kit.add("camera", Kind.CLIENT, models=frozenset({"cats"}))
        for name, kind in (("gone", Kind.PERSON), ("broken", Kind.CLIENT)):
            await kit.add(name, kind)
            await kit.accounts.change(name, Change(is_disabled=True))
        yield kit


async def password(kit: Kit, name: str = "anna", secret: str = SECRET) -> IssuedToken:
    return await kit.grants.password(name, secret, None, PHONE)


async def client(kit: Kit, name: str = "camera", secret: str = SECRET) -> IssuedToken:
    return await kit.grants.client_credentials(name, secret, None, PHONE)


async def test_password_grant_issues_access_token_and_session(kit: Kit, clock: Clock) -> None:
    issued = await kit.grants.password("anna", SECRET, None, PHONE, "phone-app")
    assert (issued.scopes, issued.expires_in) == (SCOPES, 900)
    principal = await kit.authenticator.authenticate(issued.access_token)
    (session,) = await kit.sessions.of_account("anna")
    assert (principal.name, principal.scopes, principal.models) == ("anna", SCOPES, None)
    assert (principal.client_id, principal.session_id) == ("phone-app", session.id)
    assert (session.client_id, session.device) == ("phone-app", PHONE.device)
    assert principal.issued_at == int(clock.now)
    assert issued.refresh_token is not None
    assert await kit.sessions.find(issued.refresh_token) == session


async def test_client_grant_issues_access_token_without_session(kit: Kit) -> None:
    issued = await client(kit)
    principal = await kit.authenticator.authenticate(issued.access_token)
    assert (principal.name, principal.client_id) == ("camera", "camera")
    assert principal.scopes == SCOPES
    assert principal.models == frozenset({"cats"})
    assert principal.session_id is None
    assert issued.refresh_token is None
    assert await kit.count(SessionRow) == 0


async def test_fewer_scopes_can_be_requested(kit: Kit) -> None:
    for issued in (
        await kit.grants.password("anna", SECRET, CLASSIFY, PHONE),
        await kit.grants.client_credentials("camera", SECRET, CLASSIFY, PHONE),
    ):
        assert issued.scopes == CLASSIFY
        principal = await kit.authenticator.authenticate(issued.access_token)
        assert principal.scopes == CLASSIFY


async def test_scope_not_held_by_the_account_is_refused(kit: Kit) -> None:
    asked = CLASSIFY | {Scope.ADMIN}
    for use in (
        kit.grants.password("anna", SECRET, asked, PHONE),
        kit.grants.client_credentials("camera", SECRET, asked, PHONE),
    ):
        with pytest.raises(InsufficientScope) as caught:
            await use
        assert caught.value.scope == "admin"
    assert await kit.count(SessionRow) == 0


WRONG = {
    "unknown name": ("nobody", SECRET),
    "wrong password": ("anna", "wrong horse"),
    "disabled account": ("gone", SECRET),
    "a client's": ("camera", SECRET),
    "no password": ("anna", ""),
    "no name": ("", SECRET),
    "long name": ("a" * (MAX_NAME_CHARS + 1), SECRET),
    "huge name": ("a" * 1_000_000, SECRET),
    "huge password": ("anna", "p" * 1_000_000),
    "right password and more": ("anna", SECRET + " " * MAX_PASSWORD_CHARS),
    "zero byte in the password": ("anna", SECRET + "\0"),
    "zero byte in the name": ("anna\0", SECRET),
    "not Unicode": ("anna", "\ud800"),
    "name that is not Unicode": ("\ud800", SECRET),
    "SQL": ("' OR '1'='1", SECRET),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_credentials_get_one_uniform_refusal(kit: Kit, name: str, log: Log) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await password(kit, *WRONG[name])
    assert caught.value.detail == InvalidCredentials.default_detail
    assert await kit.count(SessionRow) == 0
    (line,) = log
    known = WRONG[name][0] in {"anna", "gone"} and len(WRONG[name][1]) <= MAX_PASSWORD_CHARS
    known = known and "\ud800" not in WRONG[name][1]
    assert line["event"] == "sign_in_failed"
    assert line["account"] == (WRONG[name][0] if known else None), "it may be a password"


@pytest.mark.parametrize("name", ["nobody", "anna", "broken"])
async def test_wrong_client_credentials_are_refused(kit: Kit, name: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await client(kit, name)
    assert caught.value.detail == InvalidCredentials.default_detail


async def test_repeated_failures_block_sign_in_until_the_wait_ends(
    kit: Kit, clock: Clock, log: Log
) -> None:
    for _ in range(11):
        with pytest.raises(InvalidCredentials):
            await password(kit, secret="wrong horse")
    with pytest.raises(SignInBlocked) as caught:
        await password(kit)
    assert log[-1]["event"] == "sign_in_blocked"
    assert log[-1]["account"] == "anna"
    clock.advance(caught.value.retry_after or 0)
    assert (await password(kit)).refresh_token
    assert [line["event"] for line in log].count("sign_in_failed") == 11


async def test_blocked_sign_in_with_an_unknown_name_logs_no_name(kit: Kit, log: Log) -> None:
    for _ in range(11):
        with pytest.raises(InvalidCredentials):
            await password(kit, "correct horse battery", "anna")
    with pytest.raises(SignInBlocked):
        await password(kit, "correct horse battery", "anna")
    assert (log[-1]["event"], log[-1]["account"]) == ("sign_in_blocked", None)


async def test_successful_sign_in_counts_no_failure(kit: Kit) -> None:
    for _ in range(12):
        await client(kit)
    async with kit.database.read() as session:
        rows = await session.execute(SignInRow.__table__.select())
        assert {row.failures for row in rows} == {0}


async def test_sign_ins_above_the_concurrency_limit_are_refused(
    tables_url: str, clock: Clock
) -> None:
    async with open_kit(tables_url, clock, sign_ins_waiting=2) as kit:
        await kit.add("anna")
        outcomes = await asyncio.gather(*(password(kit) for _ in range(5)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
        assert len(refused) == 3
        assert {error.retry_after for error in refused} == {1}
        assert (await password(kit)).refresh_token, "and there is room again"


async def test_cancelled_or_failed_sign_in_frees_its_slot(tables_url: str, clock: Clock) -> None:
    async with open_kit(tables_url, clock, sign_ins_waiting=1) as kit:
        await kit.add("anna")
        for turns in range(0, 40, 4):
            leaver = asyncio.create_task(password(kit))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaver.cancel()
            await asyncio.wait([leaver])
        with pytest.raises(InvalidCredentials):
            await password(kit, secret="wrong horse")
        assert (await password(kit)).refresh_token


class Slow(Credentials):
    """Change the account while its secret is verified."""

    change: Change

    async def prove(self, name: str, secret: str, kind: Kind, origin: Origin) -> Account:
        account = await super().prove(name, secret, kind, origin)
        await self._accounts.change(name, self.change)
        return account


CHANGES = {
    "secret": Change(secret_hash=hash_password("another")),
    "disabled": Change(is_disabled=True),
    "scopes": Change(scopes=CLASSIFY),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("name", ["anna", "camera"])
async def test_account_changed_during_sign_in_gets_no_token(kit: Kit, name: str, what: str) -> None:
    slow = Slow(kit.accounts, kit.lockout, Audit(kit.metrics), max_waiting=1)
    slow.change = CHANGES[what]
    grants = kit.grants_with(slow)
    grant = grants.password if name == "anna" else grants.client_credentials
    with contextlib.closing(slow), pytest.raises(InvalidCredentials):
        await grant(name, SECRET, None, PHONE)
    assert await kit.count(SessionRow) == 0


async def test_sign_in_during_password_change_gets_no_valid_token(kit: Kit, clock: Clock) -> None:
    outcomes = await asyncio.gather(
        *(password(kit) for _ in range(3)),
        kit.administration.set_password("anna", "another horse", by="test"),
        *(password(kit) for _ in range(3)),
        return_exceptions=True,
    )
    issued = [outcome for outcome in outcomes if isinstance(outcome, IssuedToken)]
    assert not [token for token in issued if await kit.is_accepted(token.access_token)]
    assert await kit.count(SessionRow) == 0
    clock.advance(1)
    assert (await password(kit, secret="another horse")).refresh_token


async def test_evicted_oldest_session_loses_its_tokens(tables_url: str, clock: Clock) -> None:
    async with open_kit(tables_url, clock, sessions_per_account=2) as kit:
        await kit.add("anna")
        issued = []
        for _ in range(3):
            clock.advance(1)
            issued.append(await password(kit))
        accepted = [await kit.is_accepted(token.access_token) for token in issued]
        assert accepted == [False, True, True]


async def test_failing_store_raises_not_ready(kit: Kit) -> None:
    async with kit.database.write() as session:
        await session.execute(text("DROP TABLE sign_ins"))
    for use in (password(kit), client(kit), password(kit, "nobody")):
        with pytest.raises(NotReady):
            await use


async def test_the_security_log_holds_no_secret(kit: Kit, log: Log) -> None:
    issued = [await password(kit), await client(kit)]
    for name, secret in WRONG.values():
        with pytest.raises(InvalidCredentials):
            await password(kit, name, secret)
    texts = repr(log)
    assert [line["event"] for line in log[:2]] == ["sign_in", "sign_in"]
    assert (log[0]["account"], log[0]["address"]) == ("anna", PHONE.address)
    assert SECRET not in texts
    assert "horse" not in texts
    assert "nobody" not in texts
    for token in issued:
        assert token.access_token not in texts
        assert token.access_token.rsplit(".", 1)[1] not in texts
    assert issued[0].refresh_token
    assert issued[0].refresh_token not in texts
    counted = kit.metrics.registry.get_sample_value(
        "potoo_audit_events_total", {"event": "sign_in_failed"}
    )
    assert counted == [line["event"] for line in log].count("sign_in_failed")
