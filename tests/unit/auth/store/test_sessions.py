"""Signed-in devices and their refresh tokens, which rotate."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy import select, text, update

from auth.principal import Origin, Scope
from auth.store.sessions import RefreshReused, device_name
from auth.store.tables import MAX_DEVICE_CHARS, RevocationRow, SessionRow
from schemas.errors import InvalidCredentials, NotReady, RateLimited
from tests.support.auth.identity_kit import DAY, PHONE, SCOPES, START, Clock, Kit, open_kit

pytestmark = [pytest.mark.anyio, pytest.mark.sql]

GRACE, LIFETIME = 30.0, 30 * DAY


async def sign_in(kit: Kit, name: str = "anna", origin: Origin = PHONE) -> str:
    """The first refresh token of a new session."""
    if await kit.accounts.get(name) is None:
        await kit.add(name)
    _, token = await kit.sessions.open(name, name, SCOPES, origin)
    return token


async def test_new_session_stores_its_account_client_and_device(kit: Kit) -> None:
    await kit.add("anna")
    session, token = await kit.sessions.open("anna", "app", SCOPES, PHONE)
    assert (session.account, session.client_id, session.device) == ("anna", "app", PHONE.device)
    assert (session.scopes, session.created, session.last_seen) == (SCOPES, START, START)
    assert session.expires == START + LIFETIME
    assert await kit.count(RevocationRow) == 0
    assert await kit.sessions.find(token) == session
    assert await kit.sessions.of_account("anna") == [session]
    assert await kit.sessions.of_account("bert") == []


async def test_every_rotation_replaces_the_refresh_token(kit: Kit, clock: Clock) -> None:
    tokens = [await sign_in(kit)]
    for _ in range(5):
        clock.advance(600)
        session, successor = await kit.sessions.rotate(tokens[-1])
        assert (session.created, session.last_seen) == (START, clock.now)
        assert session.expires == clock.now + LIFETIME
        tokens.append(successor)
    assert len(set(tokens)) == 6
    assert [await kit.sessions.find(token) is None for token in tokens] == [True] * 5 + [False]


async def test_reuse_on_one_device_does_not_affect_another(kit: Kit, clock: Clock) -> None:
    phone, tablet = await sign_in(kit), await sign_in(kit)
    clock.advance(60)
    await kit.sessions.rotate(phone)
    clock.advance(60)
    with pytest.raises(RefreshReused):
        await kit.sessions.rotate(phone)
    assert await kit.sessions.rotate(tablet)


async def test_reused_token_ends_its_session(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    clock.advance(GRACE)
    session, second = await kit.sessions.rotate(first)
    clock.advance(GRACE + 1)
    with pytest.raises(RefreshReused) as caught:
        await kit.sessions.rotate(first)
    assert (caught.value.account, caught.value.session_id) == ("anna", session.id)
    assert await kit.sessions.of_account("anna") == []
    for token in (first, second):
        with pytest.raises(InvalidCredentials):
            await kit.sessions.rotate(token)


async def test_token_before_the_previous_one_cannot_be_retried(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    _, second = await kit.sessions.rotate(first)
    _, third = await kit.sessions.rotate(second)
    clock.advance(2)
    with pytest.raises(RefreshReused):
        await kit.sessions.rotate(first)
    assert await kit.sessions.find(third) is None


async def test_retry_after_a_lost_answer_invalidates_the_lost_token(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    _, lost = await kit.sessions.rotate(first)
    clock.advance(1)
    session, second = await kit.sessions.rotate(first)
    assert await kit.sessions.find(lost) is None
    assert await kit.sessions.find(second) == session
    clock.advance(5)
    _, third = await kit.sessions.rotate(second)
    assert await kit.sessions.find(third)


async def test_retries_are_accepted_only_within_the_grace_period(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    await kit.sessions.rotate(first)
    for _ in range(int(GRACE) // 5):
        clock.advance(5)
        _, last = await kit.sessions.rotate(first)
    clock.advance(1.5)
    with pytest.raises(RefreshReused):
        await kit.sessions.rotate(first)
    assert await kit.sessions.find(last) is None


async def test_lost_token_used_after_a_retry_ends_the_session(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    _, lost = await kit.sessions.rotate(first)
    clock.advance(2)
    await kit.sessions.rotate(first)
    clock.advance(2)
    with pytest.raises(RefreshReused):
        await kit.sessions.rotate(lost)
    assert await kit.count(SessionRow) == 0


async def test_retry_within_a_second_is_rate_limited(kit: Kit, clock: Clock) -> None:
    first = await sign_in(kit)
    _, second = await kit.sessions.rotate(first)
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            await kit.sessions.rotate(first)
        assert caught.value.retry_after == 1
        clock.advance(0.3)
    assert await kit.sessions.rotate(second)


async def test_zero_grace_allows_no_retry(tables_url: str, clock: Clock) -> None:
    async with open_kit(tables_url, clock, refresh_grace_seconds=0) as kit:
        first = await sign_in(kit)
        await kit.sessions.rotate(first)
        clock.advance(1)
        with pytest.raises(RefreshReused):
            await kit.sessions.rotate(first)
        assert await kit.count(SessionRow) == 0


async def test_session_expires_only_when_unused(kit: Kit, clock: Clock) -> None:
    used, unused = await sign_in(kit), await sign_in(kit)
    clock.advance(LIFETIME - 1)
    _, used = await kit.sessions.rotate(used)
    clock.advance(1)
    assert await kit.sessions.find(unused) is None
    with pytest.raises(InvalidCredentials):
        await kit.sessions.rotate(unused)
    (left,) = await kit.sessions.of_account("anna")
    assert await kit.sessions.find(used) == left
    assert await kit.count(SessionRow) == 2
    await kit.sessions.prune()
    assert await kit.count(SessionRow) == 1
    assert await kit.sessions.rotate(used)


async def test_session_above_the_limit_evicts_the_least_recently_seen(
    tables_url: str, clock: Clock
) -> None:
    async with open_kit(tables_url, clock, sessions_per_account=3) as kit:
        await sign_in(kit, "bert")
        tokens = []
        for _ in range(3):
            clock.advance(1)
            tokens.append(await sign_in(kit))
        clock.advance(1)
        _, tokens[0] = await kit.sessions.rotate(tokens[0])
        unseen = await kit.sessions.find(tokens[1])
        clock.advance(1)
        await kit.sessions.open("anna", "anna", SCOPES, PHONE)
        assert unseen is not None
        assert await revoked_in(kit) == [("session", unseen.id)]
        assert await kit.sessions.find(tokens[0])
        assert len(await kit.sessions.of_account("anna")) == 3
        assert len(await kit.sessions.of_account("bert")) == 1


@pytest.mark.parametrize("step", [0.0, -3600.0])
async def test_newest_session_is_never_evicted_even_after_clock_step(
    tables_url: str, clock: Clock, step: float
) -> None:
    async with open_kit(tables_url, clock, sessions_per_account=2) as kit:
        for _ in range(6):
            token = await sign_in(kit)
            assert await kit.sessions.find(token)
            clock.advance(step)
        assert await kit.count(SessionRow) == 2


async def test_sessions_end_individually_or_per_account(kit: Kit) -> None:
    tokens = [await sign_in(kit) for _ in range(3)]
    berts = await sign_in(kit, "bert")
    sessions = [await kit.sessions.find(token) for token in (*tokens, berts)]
    ids = [session.id for session in sessions if session]
    assert await kit.sessions.end("anna", ids[3]) == [], "it is bert's"
    assert await kit.sessions.end("anna", "' OR 1=1 --") == []
    assert await kit.sessions.end("anna", ids[0]) == [ids[0]]
    assert await kit.sessions.end("anna", ids[0]) == []
    assert sorted(await kit.sessions.end("anna")) == sorted(ids[1:3])
    assert await kit.sessions.find(berts)
    for token in tokens:
        with pytest.raises(InvalidCredentials):
            await kit.sessions.rotate(token)


async def test_every_token_of_a_family_identifies_its_session(kit: Kit) -> None:
    first = await sign_in(kit)
    session, second = await kit.sessions.rotate(first)
    assert await kit.sessions.family(first) == session
    assert await kit.sessions.family(second) == session
    await kit.sessions.end("anna")
    assert await kit.sessions.family(second) is None


async def test_removed_account_loses_its_sessions(kit: Kit) -> None:
    token = await sign_in(kit)
    await kit.accounts.remove("anna")
    assert await kit.count(SessionRow) == 0
    with pytest.raises(InvalidCredentials):
        await kit.sessions.rotate(token)


async def test_removed_account_cannot_open_a_session(kit: Kit) -> None:
    with pytest.raises(InvalidCredentials):
        await kit.sessions.open("nobody", "nobody", SCOPES, PHONE)


async def test_unknown_stored_scope_grants_nothing(kit: Kit) -> None:
    token = await sign_in(kit)
    async with kit.database.write() as transaction:
        await transaction.execute(update(SessionRow).values(scopes="classify teleport"))
    session, _ = await kit.sessions.rotate(token)
    assert session.scopes == {Scope.CLASSIFY}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Anna's phone", "Anna's phone"),
        ("a" * 1000, "a" * MAX_DEVICE_CHARS),
        ("one\r\ntwo\0\x1b[31m", "onetwo[31m"),
        ("\ud800\u202e📱", "📱"),
        ("", ""),
    ],
)
async def test_device_name_is_sanitised_and_truncated(kit: Kit, given: str, shown: str) -> None:
    assert device_name(given) == shown
    token = await sign_in(kit, origin=Origin("192.0.2.1", given))
    session = await kit.sessions.find(token)
    assert session is not None
    assert session.device == shown


@pytest.mark.parametrize("way", ["reuse", "one", "all"])
async def test_ending_a_session_revokes_its_tokens_in_one_transaction(
    kit: Kit, clock: Clock, way: str
) -> None:
    first = await sign_in(kit)
    session, second = await kit.sessions.rotate(first)
    clock.advance(2 * GRACE)

    async def end() -> object:
        if way == "reuse":
            return await kit.sessions.rotate(first)
        return await kit.sessions.end("anna", session.id if way == "one" else None)

    async with kit.database.write() as writing:
        await writing.execute(text("ALTER TABLE revocations RENAME TO away"))
    with pytest.raises(NotReady):
        await end()
    assert await kit.sessions.find(second), "a session that cannot be revoked has not ended"
    async with kit.database.write() as writing:
        await writing.execute(text("ALTER TABLE away RENAME TO revocations"))
    with contextlib.suppress(RefreshReused):
        await end()
    assert await kit.sessions.find(second) is None
    everything = [("account", "anna")] if way == "all" else []
    assert await revoked_in(kit) == [*everything, ("session", session.id)]


async def revoked_in(kit: Kit) -> list[tuple[str, str]]:
    """Kind and value of all revocations."""
    query = select(RevocationRow.kind, RevocationRow.value).order_by(RevocationRow.kind)
    async with kit.database.read() as session:
        return [(kind, value) for kind, value in await session.execute(query)]
