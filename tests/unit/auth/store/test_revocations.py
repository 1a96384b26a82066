"""Revocations, on the server that made them and on others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import insert, text

from auth.principal import Principal
from auth.store.revocations import OVERLAP, Kind, Revocations
from auth.store.tables import RevocationRow
from schemas.errors import NotReady, Unauthenticated
from tests.support.auth.identity_kit import (
    DAY,
    OUTAGE_SECONDS,
    SCOPES,
    START,
    Clock,
    Kit,
    open_kit,
)

pytestmark = [pytest.mark.anyio, pytest.mark.sql]

SESSION = Principal("anna", SCOPES, "t1", START + 900, int(START), session_id="s1")
DEVICE = Principal("camera", SCOPES, "t2", START + 900, int(START))


@pytest.fixture
async def other(kit: Kit, tables_url: str) -> AsyncIterator[Kit]:
    """A second server on the same database, with its own clock."""
    async with open_kit(tables_url, Clock(kit.clock.now)) as second:
        yield second


def holds(kit: Kit, principal: Principal) -> bool:
    try:
        kit.revocations.check(principal)
    except Unauthenticated:
        return False
    return True


async def wake(*kits: Kit, seconds: float = 1.0) -> None:
    for kit in kits:
        kit.clock.advance(seconds)
        await kit.revocations.refresh()


@pytest.mark.parametrize(
    ("kind", "value", "session_holds", "device_holds"),
    [
        (Kind.TOKEN, "t1", False, True),
        (Kind.TOKEN, "t2", True, False),
        (Kind.SESSION, "s1", False, True),
        (Kind.SESSION, "t1", True, True),
        (Kind.ACCOUNT, "camera", True, False),
        # A person's tokens are revoked with their sessions, each of which has its own row.
        (Kind.ACCOUNT, "anna", True, True),
        (Kind.ACCOUNT, "Camera", True, True),
    ],
)
async def test_revocation_applies_locally_and_after_refresh_on_other_servers(
    kit: Kit, other: Kit, kind: Kind, value: str, *, session_holds: bool, device_holds: bool
) -> None:
    await kit.revocations.add([(kind, value)])
    assert (holds(kit, SESSION), holds(kit, DEVICE)) == (session_holds, device_holds)
    assert holds(other, SESSION), "it has not looked yet"
    await wake(other)
    assert (holds(other, SESSION), holds(other, DEVICE)) == (session_holds, device_holds)


async def test_later_started_server_loads_earlier_revocations(
    kit: Kit, tables_url: str, clock: Clock
) -> None:
    await kit.revocations.add([(Kind.TOKEN, "t1"), (Kind.TOKEN, "t2")])
    clock.advance(3600)
    async with open_kit(tables_url, clock) as later:
        assert not holds(later, SESSION)
        assert not holds(later, DEVICE)


async def test_account_revocation_spares_tokens_issued_in_later_seconds(kit: Kit) -> None:
    await kit.revocations.add([(Kind.ACCOUNT, "camera")])
    for second, expected in ((-1, False), (0, False), (1, True)):
        token = Principal("camera", SCOPES, "new", START + 900, int(START) + second)
        assert holds(kit, token) == expected


async def test_latest_account_revocation_wins_over_earlier_ones(kit: Kit, other: Kit) -> None:
    token = Principal("camera", SCOPES, "new", START + 900, int(START) + 5)
    await kit.revocations.add([(Kind.ACCOUNT, "camera")])
    assert holds(kit, token)
    other.clock.advance(60)
    await other.revocations.add([(Kind.ACCOUNT, "camera")])
    await wake(kit)
    assert not holds(kit, token)
    await kit.revocations.add([(Kind.ACCOUNT, "camera")])
    assert not holds(kit, token)


async def test_revocation_is_kept_until_the_token_expires(kit: Kit, other: Kit) -> None:
    await kit.revocations.add([(Kind.TOKEN, "t1")])
    await kit.revocations.add([(Kind.TOKEN, "t2")], until=START + 3 * DAY)
    await wake(kit, other, seconds=DAY - 1)
    assert not holds(kit, SESSION)
    assert not holds(other, SESSION)
    await wake(kit, other, seconds=1)
    assert holds(kit, SESSION), "it has expired long since"
    assert holds(other, SESSION)
    assert not holds(kit, DEVICE)
    assert not holds(other, DEVICE)
    await kit.revocations.prune()
    assert await kit.count(RevocationRow) == 1
    await wake(kit, seconds=2 * DAY)
    await kit.revocations.prune()
    assert await kit.count(RevocationRow) == 0


async def test_check_before_the_first_refresh_raises_not_ready(kit: Kit) -> None:
    unread = Revocations(kit.database, longest_life=DAY, max_age=OUTAGE_SECONDS)
    with pytest.raises(NotReady):
        unread.check(DEVICE)
    await unread.refresh()
    unread.check(DEVICE)


async def test_outdated_revocation_list_raises_not_ready(kit: Kit, clock: Clock) -> None:
    clock.advance(OUTAGE_SECONDS)
    kit.revocations.check(DEVICE)
    clock.advance(0.01)
    with pytest.raises(NotReady) as caught:
        kit.revocations.check(DEVICE)
    assert caught.value.retry_after == 5
    await kit.revocations.refresh()
    kit.revocations.check(DEVICE)


async def test_failing_store_does_not_renew_the_revocation_list(kit: Kit, clock: Clock) -> None:
    async with kit.database.write() as session:
        await session.execute(text("ALTER TABLE revocations RENAME TO away"))
    clock.advance(OUTAGE_SECONDS)
    for use in (kit.revocations.refresh(), kit.revocations.add([(Kind.TOKEN, "t1")])):
        with pytest.raises(NotReady):
            await use
    kit.revocations.check(SESSION)
    clock.advance(1)
    with pytest.raises(NotReady):
        kit.revocations.check(SESSION)
    async with kit.database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO revocations"))
    await kit.revocations.refresh()
    kit.revocations.check(SESSION)


def row(value: str, at: float) -> dict[str, object]:
    return {"kind": "token", "value": value, "at": at, "until": at + DAY}


async def test_late_committed_revocation_is_seen(kit: Kit, other: Kit) -> None:
    await wake(kit, seconds=100)
    late = kit.clock.now
    await wake(kit, seconds=OVERLAP - 1)
    await kit.revocations.add([(Kind.TOKEN, "something else")])
    await wake(kit)
    async with other.database.write() as session:
        # It began at that time of the clock, and got its number then.
        await session.execute(insert(RevocationRow), [{"id": -1, **row("t2", late)}])
    await wake(kit)
    assert not holds(kit, DEVICE)


@pytest.mark.parametrize("hours", [1, -1])
async def test_servers_with_different_clocks_see_each_others_revocations(
    kit: Kit, other: Kit, hours: int
) -> None:
    other.clock.advance(hours * 3600)
    for number in range(3):
        for here, there in ((kit, other), (other, kit)):
            principal = Principal("anna", SCOPES, f"{number}{here is kit}", START + 900, int(START))
            await here.revocations.add([(Kind.TOKEN, principal.token_id)])
            await wake(here, there)
            assert not holds(here, principal)
            assert not holds(there, principal)


async def test_clock_jump_does_not_restore_a_revoked_token(kit: Kit) -> None:
    await kit.revocations.add([(Kind.TOKEN, "t1")])
    await wake(kit, seconds=2 * OVERLAP)
    await kit.revocations.add([(Kind.TOKEN, "t2")])
    await wake(kit)
    await wake(kit, seconds=2 * DAY)
    assert holds(kit, SESSION), "it has expired long since, it seems"
    await wake(kit, seconds=-2 * DAY)
    assert not holds(kit, SESSION)


async def test_reused_row_ids_do_not_hide_revocations(kit: Kit, other: Kit) -> None:
    await kit.revocations.add((Kind.TOKEN, f"old{number}") for number in range(5))
    await wake(kit, other, seconds=DAY + 1)
    await kit.revocations.prune()
    assert await kit.count(RevocationRow) == 0
    await kit.revocations.add([(Kind.TOKEN, "t1")])
    await wake(other)
    assert not holds(other, SESSION)


async def test_revocation_change_is_announced_once(kit: Kit, other: Kit) -> None:
    changes: list[str] = []
    listening = Revocations(
        other.database,
        longest_life=DAY,
        max_age=OUTAGE_SECONDS,
        on_change=lambda: changes.append("change"),
        clock=other.clock,
        monotonic=other.clock,
    )
    await listening.refresh()
    assert changes == []
    await kit.revocations.add([(Kind.TOKEN, "t1"), (Kind.SESSION, "s1")])
    await listening.refresh()
    assert len(changes) == 1
    other.clock.advance(1)
    await listening.refresh()
    assert len(changes) == 1, "it is read again, and no news"
    await listening.add([(Kind.TOKEN, "t2")])
    assert len(changes) == 2
    await listening.add([])
    await listening.refresh()
    assert len(changes) == 2


async def test_empty_revocation_writes_no_row(kit: Kit) -> None:
    await kit.revocations.add([])
    assert await kit.count(RevocationRow) == 0


async def test_thousand_sessions_are_revoked_together(kit: Kit, other: Kit) -> None:
    await kit.revocations.add((Kind.SESSION, f"s{number}") for number in range(1000))
    await wake(other)
    assert not holds(other, SESSION)
    assert await kit.count(RevocationRow) == 1000
