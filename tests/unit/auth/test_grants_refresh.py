"""Refresh, revocation and introspection of issued tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from auth.grants import IssuedToken
from auth.principal import ALL_SCOPES, Scope
from auth.store.accounts import Change, Kind
from auth.store.sessions import RefreshReused
from auth.store.tables import RevocationRow, SessionRow
from schemas.errors import InsufficientScope, InvalidCredentials, NotReady, RateLimited
from tests.support.auth.identity_kit import (
    APP,
    CLASSIFY,
    GARBAGE,
    PHONE,
    SCOPES,
    SECRET,
    Clock,
    Kit,
    open_kit,
    sign_in,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kit(tables_url: str, clock: Clock) -> AsyncIterator[Kit]:
    """A kit with a user and a backend that may introspect tokens."""
    async with open_kit(tables_url, clock) as kit:
        await kit.add("anna")
        await kit.add("backend", Kind.CLIENT, may_introspect=True)
        yield kit


async def refresh(
    kit: Kit, issued: IssuedToken, scopes: frozenset[Scope] | None = None, client_id: str = ""
) -> IssuedToken:
    assert issued.refresh_token is not None
    return await kit.grants.refresh(issued.refresh_token, scopes, PHONE, client_id)


async def test_refresh_keeps_the_session_and_issues_new_tokens(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    clock.advance(30)
    second = await refresh(kit, first, client_id=APP)
    before = await kit.authenticator.authenticate(first.access_token)
    after = await kit.authenticator.authenticate(second.access_token)
    assert (after.session_id, after.client_id) == (before.session_id, APP)
    assert after.token_id != before.token_id
    assert (second.scopes, second.expires_in) == (SCOPES, 900)
    assert second.refresh_token != first.refresh_token


async def test_narrowed_refresh_affects_one_access_token_only(kit: Kit) -> None:
    first = await sign_in(kit)
    second = await refresh(kit, first, CLASSIFY)
    assert second.scopes == CLASSIFY
    assert (await kit.authenticator.authenticate(second.access_token)).scopes == CLASSIFY
    third = await refresh(kit, second)
    assert third.scopes == SCOPES, "the session still has what was granted at sign-in"


@pytest.mark.parametrize("more", [{Scope.ADMIN}, {Scope.CLASSIFY, Scope.ADMIN}, {Scope.METRICS}])
async def test_refresh_beyond_granted_scopes_is_refused_without_using_the_token(
    kit: Kit, more: set[Scope]
) -> None:
    await kit.accounts.change("anna", Change(scopes=ALL_SCOPES))
    issued = await sign_in(kit, scopes=CLASSIFY)
    with capture_logs() as log, pytest.raises(InsufficientScope):
        await refresh(kit, issued, frozenset(more))
    assert [line["event"] for line in log] == ["scope_denied"]
    assert (await refresh(kit, issued, CLASSIFY)).scopes == CLASSIFY


async def test_refresh_drops_lost_scopes_and_adds_no_gained_ones(kit: Kit, clock: Clock) -> None:
    issued = await sign_in(kit)
    await kit.accounts.change("anna", Change(scopes=CLASSIFY | {Scope.ADMIN}))
    second = await refresh(kit, issued)
    assert second.scopes == CLASSIFY
    clock.advance(2)
    third = await refresh(kit, second, SCOPES)
    assert third.scopes == CLASSIFY


async def test_reused_refresh_token_ends_session_and_access_tokens(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    second = await refresh(kit, first)
    third = await refresh(kit, second)
    assert await kit.is_accepted(third.access_token)
    clock.advance(60)
    with capture_logs() as log, pytest.raises(RefreshReused):
        await refresh(kit, first)
    assert [line["event"] for line in log] == ["refresh_reused"]
    assert log[0]["account"] == "anna"
    for issued in (first, second, third):
        assert not await kit.is_accepted(issued.access_token)
        with pytest.raises(InvalidCredentials):
            await refresh(kit, issued)


async def test_immediate_retry_is_rate_limited_and_later_retry_succeeds(
    kit: Kit, clock: Clock
) -> None:
    first = await sign_in(kit)
    await refresh(kit, first)
    with pytest.raises(RateLimited):
        await refresh(kit, first)
    clock.advance(1)
    again = await refresh(kit, first)
    assert await kit.is_accepted(again.access_token)


async def test_refresh_by_another_client_ends_the_session(kit: Kit) -> None:
    issued = await sign_in(kit)
    with pytest.raises(InvalidCredentials):
        await refresh(kit, issued, client_id="another-app")
    assert await kit.count(SessionRow) == 0
    assert not await kit.is_accepted(issued.access_token)


async def test_refresh_of_a_disabled_account_is_refused(kit: Kit) -> None:
    issued = await sign_in(kit)
    await kit.accounts.change("anna", Change(is_disabled=True))
    with capture_logs() as log, pytest.raises(InvalidCredentials):
        await refresh(kit, issued)
    assert log[-1]["event"] == "refresh_failed"
    assert not await kit.is_accepted(issued.access_token)
    await kit.accounts.change("anna", Change(is_disabled=False))
    with pytest.raises(InvalidCredentials):
        await refresh(kit, issued)


@pytest.mark.parametrize("token", GARBAGE)
async def test_malformed_refresh_token_is_refused(kit: Kit, token: str) -> None:
    with pytest.raises(InvalidCredentials):
        await kit.grants.refresh(token, None, PHONE)
    with pytest.raises(InvalidCredentials):
        await kit.grants.refresh(token, CLASSIFY, PHONE)


async def test_access_and_refresh_tokens_are_not_interchangeable(
    kit: Kit,
) -> None:
    issued = await sign_in(kit)
    assert issued.refresh_token is not None
    with pytest.raises(InvalidCredentials):
        await kit.grants.refresh(issued.access_token, None, PHONE)
    assert not await kit.is_accepted(issued.refresh_token)


async def test_refresh_token_revocation_signs_out_only_that_device(kit: Kit) -> None:
    phone, tablet = await sign_in(kit), await sign_in(kit)
    second = await refresh(kit, phone)
    assert phone.refresh_token
    with capture_logs() as log:
        await kit.grants.revoke(phone.refresh_token, PHONE)
        await kit.grants.revoke(phone.refresh_token, PHONE)
    assert [line["event"] for line in log] == ["session_ended"]
    for issued in (phone, second):
        assert not await kit.is_accepted(issued.access_token)
    with pytest.raises(InvalidCredentials):
        await refresh(kit, second)
    assert await kit.is_accepted(tablet.access_token)
    assert (await refresh(kit, tablet)).refresh_token


async def test_access_token_revocation_affects_only_that_token(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    second = await refresh(kit, first)
    device = await kit.grants.client_credentials("backend", SECRET, None, PHONE)
    with capture_logs() as log:
        for token in (first.access_token, device.access_token):
            await kit.grants.revoke(token, PHONE)
    assert [(line["event"], line["account"]) for line in log] == [
        ("token_revoked", "anna"),
        ("token_revoked", "backend"),
    ]
    assert not await kit.is_accepted(first.access_token)
    assert not await kit.is_accepted(device.access_token)
    assert await kit.is_accepted(second.access_token)
    clock.advance(2)
    assert (await refresh(kit, second)).refresh_token


@pytest.mark.parametrize("token", GARBAGE)
async def test_revoking_a_malformed_token_is_a_silent_no_op(kit: Kit, token: str) -> None:
    with capture_logs() as log:
        await kit.grants.revoke(token, PHONE)
    assert log == []
    assert await kit.count(RevocationRow) == 0


async def test_repeated_revocation_adds_one_row(kit: Kit, clock: Clock) -> None:
    issued = await sign_in(kit)
    for _ in range(5):
        await kit.grants.revoke(issued.access_token, PHONE)
    assert await kit.count(RevocationRow) == 1
    clock.advance(900 + 30)
    await kit.revocations.refresh()
    expired = await sign_in(kit)
    clock.advance(900 + 30)
    await kit.grants.revoke(expired.access_token, PHONE)
    assert await kit.count(RevocationRow) == 1, "it expired by itself"


async def test_sign_out_ends_one_session_or_all(kit: Kit) -> None:
    phone, tablet, desk = [await sign_in(kit) for _ in range(3)]
    await kit.add("bert")
    bert = await kit.grants.password("bert", SECRET, None, PHONE)
    principal = await kit.authenticator.authenticate(phone.access_token)
    assert await kit.grants.sign_out("bert", principal.session_id) == 0
    assert await kit.grants.sign_out("anna", "no such session") == 0
    assert await kit.is_accepted(phone.access_token)
    assert await kit.grants.sign_out("anna", principal.session_id) == 1
    assert not await kit.is_accepted(phone.access_token)
    assert await kit.is_accepted(tablet.access_token)
    assert await kit.grants.sign_out("anna") == 2
    for issued in (tablet, desk):
        assert not await kit.is_accepted(issued.access_token)
    assert await kit.is_accepted(bert.access_token)


async def test_failed_sign_out_is_completed_by_the_next(kit: Kit) -> None:
    issued = await sign_in(kit)
    async with kit.database.write() as session:
        await session.execute(text("ALTER TABLE revocations RENAME TO away"))
    with pytest.raises(NotReady):
        await kit.grants.sign_out("anna")
    async with kit.database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO revocations"))
    assert await kit.count(SessionRow) == 1, "no live token is forgotten"
    assert await kit.grants.sign_out("anna") == 1
    assert not await kit.is_accepted(issued.access_token)
    assert await kit.count(SessionRow) == 0


async def test_the_security_log_holds_no_token(kit: Kit, clock: Clock) -> None:
    with capture_logs() as log:
        first = await sign_in(kit)
        second = await refresh(kit, first)
        await kit.grants.revoke(second.access_token, PHONE)
        await kit.grants.introspect("backend", SECRET, second.access_token, PHONE)
        clock.advance(60)
        await refresh(kit, second)
        with pytest.raises(RefreshReused):
            await refresh(kit, first)
    texts = repr(log)
    assert {line["event"] for line in log} == {
        "sign_in",
        "token_refreshed",
        "token_revoked",
        "refresh_reused",
    }
    for issued in (first, second):
        for token in (issued.access_token, issued.refresh_token):
            assert token
            assert token not in texts
            assert token[-20:] not in texts
