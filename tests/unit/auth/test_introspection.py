"""Introspection of tokens (RFC 7662)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from auth.grants import IssuedToken
from auth.principal import Origin
from auth.store.accounts import Kind
from schemas.errors import InvalidCredentials
from tests.support.auth.identity_kit import (
    APP,
    CLASSIFY,
    GARBAGE,
    PHONE,
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


async def refresh(kit: Kit, issued: IssuedToken) -> IssuedToken:
    assert issued.refresh_token is not None
    return await kit.grants.refresh(issued.refresh_token, None, PHONE)


async def test_introspection_describes_access_and_refresh_tokens(kit: Kit, clock: Clock) -> None:
    issued = await sign_in(kit, scopes=CLASSIFY)
    asked_at = clock.now
    access = await kit.grants.introspect("backend", SECRET, issued.access_token, PHONE)
    assert access is not None
    assert (access.account, access.client_id, access.scopes) == ("anna", APP, CLASSIFY)
    assert (access.issued_at, access.expires_at) == (int(asked_at), int(asked_at) + 900)
    assert not access.is_refresh
    assert issued.refresh_token is not None
    clock.advance(60)
    refreshed = await kit.grants.introspect("backend", SECRET, issued.refresh_token, PHONE)
    assert refreshed is not None
    assert (refreshed.account, refreshed.client_id) == ("anna", APP)
    assert (refreshed.issued_at, refreshed.is_refresh) == (asked_at, True)
    assert refreshed.expires_at == asked_at + 30 * 86_400
    assert (await refresh(kit, issued)).refresh_token, "asking has not used it up"


async def test_introspection_reports_invalid_tokens_as_inactive(kit: Kit, clock: Clock) -> None:
    revoked, expired = await sign_in(kit), await sign_in(kit)
    await kit.grants.revoke(revoked.access_token, PHONE)
    old = await sign_in(kit)
    await refresh(kit, old)
    clock.advance(900 + 30)
    await kit.revocations.refresh()
    for token in (revoked.access_token, expired.access_token, old.refresh_token, *GARBAGE):
        assert token is not None
        assert await kit.grants.introspect("backend", SECRET, token, PHONE) is None


@pytest.mark.parametrize(
    ("name", "secret"),
    [("camera", SECRET), ("anna", SECRET), ("backend", "wrong"), ("nobody", SECRET), ("", "")],
)
async def test_introspection_without_permission_is_refused(
    kit: Kit, name: str, secret: str
) -> None:
    await kit.add("camera", Kind.CLIENT)
    issued = await sign_in(kit)
    with pytest.raises(InvalidCredentials):
        await kit.grants.introspect(name, secret, issued.access_token, Origin("192.0.2.9"))
