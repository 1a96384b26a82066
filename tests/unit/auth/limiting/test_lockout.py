"""Growing delays after failed sign-ins, without a permanent lock-out."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy import select

from auth.limiting.lockout import (
    FORGET_SECONDS,
    REMEMBER_SECONDS,
    Lockout,
    LockoutPolicy,
    SignInBlocked,
)
from auth.store.database import Database
from auth.store.tables import SignInRow
from schemas.errors import RateLimited
from tests.support.auth.identity_kit import START, Clock, Kit, opened

pytestmark = pytest.mark.anyio

HOME, AWAY = "192.0.2.1", "198.51.100.7"
FREE, LONGEST = 4, 60.0
WIDE = 10
"""Free failures of an address or an account: 2.5 times as many."""


@pytest.fixture
def lockout(database: Database, clock: Clock) -> Lockout:
    return Lockout(database, LockoutPolicy(FREE, LONGEST), clock=clock)


async def wait(lockout: Lockout, account: str, address: str) -> float:
    """Fail to sign in if permitted; return the seconds to wait, or 0."""
    try:
        await lockout.charge(account, address)
    except SignInBlocked as blocked:
        return blocked.retry_after or 0.0
    return 0.0


async def sign_in(lockout: Lockout, account: str, address: str) -> None:
    was_known = await lockout.charge(account, address)
    await lockout.refund(account, address, was_known=was_known)


async def block(lockout: Lockout, account: str, address: str) -> None:
    """Fail to sign in until there is a wait."""
    while not await wait(lockout, account, address):
        pass


async def test_wait_doubles_after_free_failures_up_to_the_maximum(
    lockout: Lockout, clock: Clock
) -> None:
    waits: list[float] = []
    for _ in range(FREE + 9):
        assert await wait(lockout, "anna", HOME) == 0
        waits.append(await wait(lockout, "anna", HOME) if len(waits) >= FREE else 0)
        clock.advance(waits[-1])
    expected = [0.0] * FREE + [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waits == pytest.approx(expected, abs=1e-3)


async def test_early_retry_is_not_counted_and_extends_no_wait(
    lockout: Lockout, clock: Clock
) -> None:
    await block(lockout, "anna", HOME)
    for _ in range(100):
        assert await wait(lockout, "anna", HOME) == pytest.approx(1, abs=1e-3)
    clock.advance(0.5)
    assert await wait(lockout, "anna", HOME) == pytest.approx(0.5, abs=1e-3)
    clock.advance(0.5)
    await sign_in(lockout, "anna", HOME)


async def test_successful_sign_in_restores_the_free_attempts(
    lockout: Lockout, clock: Clock
) -> None:
    await block(lockout, "anna", HOME)
    clock.advance(1)
    await sign_in(lockout, "anna", HOME)
    for _ in range(FREE + 1):
        assert await wait(lockout, "anna", HOME) == 0
    assert await wait(lockout, "anna", HOME) > 0


async def test_repeated_successful_sign_ins_never_wait(lockout: Lockout) -> None:
    for number in range(50):
        await sign_in(lockout, f"anna{number}", HOME)
        await sign_in(lockout, "anna", f"192.0.2.{number}")


async def test_account_guessed_from_many_addresses_is_slowed(
    lockout: Lockout, clock: Clock
) -> None:
    for number in range(WIDE + 1):
        assert await wait(lockout, "anna", f"203.0.113.{number}") == 0
    assert await wait(lockout, "anna", AWAY) == pytest.approx(1, abs=1e-3)
    assert await wait(lockout, "bert", AWAY) == 0
    clock.advance(1)
    await sign_in(lockout, "anna", AWAY)


async def test_known_address_does_not_wait_for_failures_of_others(
    lockout: Lockout,
) -> None:
    await sign_in(lockout, "anna", HOME)
    for number in range(WIDE + 1):
        await block(lockout, "anna", f"203.0.113.{number}")
        await block(lockout, f"somebody{number}", HOME)
    await sign_in(lockout, "anna", HOME)
    assert await wait(lockout, "anna", AWAY) > 0
    assert await wait(lockout, "bert", HOME) > 0


async def test_known_address_has_no_extra_attempts(lockout: Lockout, clock: Clock) -> None:
    await sign_in(lockout, "anna", HOME)
    for _ in range(FREE + 1):
        assert await wait(lockout, "anna", HOME) == 0
    assert await wait(lockout, "anna", HOME) > 0
    clock.advance(1)
    assert await wait(lockout, "bert", HOME) == 0, "nor do others pay for them"


async def test_known_address_is_forgotten_after_a_period(lockout: Lockout, clock: Clock) -> None:
    await sign_in(lockout, "anna", HOME)
    clock.advance(REMEMBER_SECONDS - 1)
    for number in range(WIDE + 1):
        await lockout.charge("anna", f"203.0.113.{number}")
    await sign_in(lockout, "anna", HOME)
    clock.advance(REMEMBER_SECONDS)
    for number in range(WIDE + 1):
        await lockout.charge("anna", f"203.0.113.{number}")
    assert await wait(lockout, "anna", HOME) > 0


async def test_address_guessing_many_accounts_is_slowed(lockout: Lockout, clock: Clock) -> None:
    tries = 0
    while not await wait(lockout, f"somebody{tries}", AWAY):
        tries += 1
    assert tries == WIDE + 1
    looked_at = 0
    for second in range(600):
        looked_at += await wait(lockout, f"other{second}", AWAY) == 0
        clock.advance(1)
    assert looked_at <= 6 + 600 / LONGEST
    await sign_in(lockout, "anna", HOME)


async def test_own_account_gives_no_extra_attempts_on_others(lockout: Lockout) -> None:
    await sign_in(lockout, "mallory", AWAY)
    tries = 0
    while not await wait(lockout, f"somebody{tries}", AWAY):
        tries += 1
        await sign_in(lockout, "mallory", AWAY)
        assert tries <= WIDE + 1
    assert tries == WIDE + 1


async def test_right_password_works_after_the_wait_despite_200_failures(
    lockout: Lockout, clock: Clock
) -> None:
    looked_at, began = 0, clock.now
    for _ in range(200):
        looked_at += await wait(lockout, "anna", AWAY) == 0
        clock.advance(1)
    assert FREE < looked_at < FREE + 12
    left = await wait(lockout, "anna", AWAY)
    assert left <= LONGEST
    clock.advance(left)
    await sign_in(lockout, "anna", AWAY)
    assert clock.now - began <= 200 + LONGEST


async def test_concurrent_attempts_on_two_servers_share_the_free_attempts(
    lockout: Lockout, tables_url: str, clock: Clock
) -> None:
    async with opened(tables_url) as other:
        second = Lockout(other, LockoutPolicy(FREE, LONGEST), clock=clock)
        tries = [wait(one, "anna", AWAY) for one in (lockout, second) for _ in range(12)]
        waits = await asyncio.gather(*tries)
    assert waits.count(0.0) == FREE + 1


async def test_concurrent_attempts_and_successes_do_not_deadlock(
    lockout: Lockout,
) -> None:
    async def both(account: str, address: str) -> None:
        with contextlib.suppress(SignInBlocked):
            await sign_in(lockout, account, address)

    names, addresses = ("anna", "bert", "carl"), (HOME, AWAY)
    await asyncio.gather(*(both(n, a) for _ in range(8) for n in names for a in addresses))
    await asyncio.gather(*(both(n, a) for n in names for a in addresses))


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:DB8::1", "2001:db8::1", True),
        ("", "unix socket", False),
        ("", "", True),
    ],
)
async def test_addresses_are_grouped_by_ipv6_prefix_and_mapped_ipv4(
    lockout: Lockout, one: str, other: str, are_same: bool
) -> None:
    await block(lockout, "anna", one)
    assert (await wait(lockout, "anna", other) > 0) == are_same


@pytest.mark.parametrize("name", ["", "a" * 100_000, "anna\0", "\ud800", "' OR 1=1 --", "ß|ü"])
async def test_any_account_name_can_be_counted(lockout: Lockout, name: str) -> None:
    await block(lockout, name, HOME)
    await lockout.refund(name, HOME)


async def test_concurrent_first_sign_ins_are_all_refunded(kit: Kit, lockout: Lockout) -> None:
    charged = [await lockout.charge("anna", HOME) for _ in range(FREE)]
    for was_known in charged:
        await lockout.refund("anna", HOME, was_known=was_known)
    async with kit.database.read() as session:
        rows = list(await session.scalars(select(SignInRow)))
    assert [row.failures for row in rows] == [0, 0, 0]


async def test_clock_set_back_slightly_does_not_block(lockout: Lockout, clock: Clock) -> None:
    assert await wait(lockout, "anna", HOME) == 0
    clock.advance(-0.5)
    assert await wait(lockout, "anna", HOME) == 0


async def test_failure_is_forgotten_after_a_day(lockout: Lockout, clock: Clock) -> None:
    await block(lockout, "anna", HOME)
    clock.advance(FORGET_SECONDS + 1)
    for _ in range(FREE + 1):
        assert await wait(lockout, "anna", HOME) == 0
    assert await wait(lockout, "anna", HOME) == pytest.approx(1, abs=1e-3)


async def test_expired_lockout_rows_are_pruned(kit: Kit, lockout: Lockout, clock: Clock) -> None:
    await sign_in(lockout, "anna", HOME)
    await lockout.charge("bert", AWAY)
    assert await kit.count(SignInRow) == 6
    clock.advance(FORGET_SECONDS - 1)
    await lockout.prune()
    assert await kit.count(SignInRow) == 6
    clock.advance(2)
    await lockout.prune()
    assert await kit.count(SignInRow) == 1, "the address from which anna signed in"
    clock.advance(REMEMBER_SECONDS)
    await lockout.prune()
    assert await kit.count(SignInRow) == 0


async def test_blocked_attempt_adds_no_rows(kit: Kit, lockout: Lockout) -> None:
    await block(lockout, "anna", AWAY)
    await block(lockout, "bert", AWAY)
    before = await kit.count(SignInRow)
    for number in range(20):
        assert await wait(lockout, f"anna{number}", AWAY) > 0 or number < WIDE
    blocked_from = await kit.count(SignInRow)
    for number in range(20, 40):
        assert await wait(lockout, f"anna{number}", AWAY) > 0
    assert await kit.count(SignInRow) == blocked_from >= before


async def test_lockout_table_holds_no_names_or_addresses(kit: Kit, lockout: Lockout) -> None:
    await sign_in(lockout, "anna", HOME)
    dumped = await kit.dump(SignInRow)
    assert "anna" not in dumped
    assert HOME not in dumped


async def test_lockout_can_be_disabled(kit: Kit) -> None:
    lockout = Lockout(kit.database, LockoutPolicy(0, LONGEST), clock=kit.clock)
    for _ in range(50):
        await lockout.charge("anna", HOME)
    await lockout.refund("anna", HOME)
    assert await kit.count(SignInRow) == 0


async def test_blocked_sign_in_raises_rate_limited(lockout: Lockout, clock: Clock) -> None:
    await block(lockout, "anna", HOME)
    with pytest.raises(RateLimited) as caught:
        await lockout.charge("anna", HOME)
    assert "anna" not in caught.value.detail
    assert clock.now == START
