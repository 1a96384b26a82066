"""Increasing waits after failed sign-ins, without permanent lockout.

Failures are counted for the account and address together, for the address, and for the account.
Beyond the free ones each further failure doubles the wait for the next attempt, up to a maximum. An
attempt that comes too early is refused unchecked: it neither counts nor prolongs the wait. A caller
who signed in to the account from the same address before is exempt from waits that others cause,
and further failures count for the account and address together only.

An attempt is charged before the password is checked and refunded if it was right, so that
concurrency allows no more attempts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from auth.store.database import Database
from auth.store.tables import SignInRow
from schemas.errors import RateLimited

FORGET_SECONDS = 24 * 3600.0
"""A failure counts for a day."""
REMEMBER_SECONDS = 90 * 24 * 3600.0
"""How long an address with a successful sign-in stays known."""
ADDRESS_FACTOR = 2.5
"""More free attempts for an address (a shared office) and an account (typing errors)."""


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """Waits: ``free`` failures cost none; then 1, 2, 4 … seconds up to ``longest``. 0 free: off."""

    free: int
    longest: float


class SignInBlocked(RateLimited):
    """Too many failures; ``retry_after``: seconds until the next attempt is checked."""


class Lockout:
    """Failure counts and waits of sign-ins. Raises ``NotReady`` if the store does not answer."""

    def __init__(
        self, database: Database, policy: LockoutPolicy, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._policy, self._clock = database, policy, clock

    async def charge(self, account: str, address: str) -> bool:
        """Count an attempt as failed until ``refund`` reverts it.

        Returns:
            Whether the account was signed in to from the address before; pass it to ``refund``.

        Raises:
            SignInBlocked: if the attempt has to wait; it is not counted then.
        """
        if not self._policy.free:
            return False
        now = self._clock()
        async with self._database.write() as session:
            rows = await self._locked(session, _keys(account, address), now)
            was_known = _is_known(rows[0], now)
            concerning = rows[:1] if was_known else rows
            wait = max(row.blocked_until for row in concerning) - now
            if wait > 0:
                message = "Too many failed sign-ins; wait before the next one."
                # The clock may be behind that of the server that set the wait.
                raise SignInBlocked(message, retry_after=min(wait, self._policy.longest))
            for row in concerning:
                is_stale = row.last_failure < now - FORGET_SECONDS
                row.failures = 1 if is_stale else row.failures + 1
                free = self._policy.free * (1 if row is rows[0] else ADDRESS_FACTOR)
                wait = self._wait(row.failures - int(free))
                # 0, not ``now``: another server's clock may be a little behind.
                row.blocked_until = now + wait if wait else 0.0
                row.last_failure = now
        return was_known

    async def refund(self, account: str, address: str, *, was_known: bool = False) -> None:
        """Refund a successful attempt: return its charges and clear the waits.

        ``was_known``: the result of ``charge``; of several first attempts each refunds its own.
        """
        if not self._policy.free:
            return
        now = self._clock()
        async with self._database.write() as session:
            pair, *wide = await self._locked(session, _keys(account, address), now)
            # A known caller was not charged on the wide rows and must not clear their waits:
            # otherwise an attacker could, with an account of their own.
            for row in [] if was_known else wide:
                row.failures, row.blocked_until = max(0, row.failures - 1), 0.0
            pair.failures, pair.blocked_until, pair.last_success = 0, 0.0, now

    async def prune(self) -> None:
        """Delete expired rows."""
        now = self._clock()
        is_over = (
            (SignInRow.last_failure < now - FORGET_SECONDS)
            & (SignInRow.blocked_until < now)
            & (SignInRow.last_success.is_(None) | (SignInRow.last_success < now - REMEMBER_SECONDS))
        )
        # Rows locked by another transaction are in use and stay until the next run.
        keys = select(SignInRow.key).where(is_over).with_for_update(skip_locked=True)
        async with self._database.write() as session:
            await session.execute(delete(SignInRow).where(SignInRow.key.in_(keys)))

    async def _locked(self, session: AsyncSession, keys: list[str], now: float) -> list[SignInRow]:
        """Lock and return the rows; insert missing ones, so that the first attempt locks a row too.

        Rows are locked in sorted order to avoid deadlocks.
        """
        fresh = {"failures": 0, "blocked_until": 0.0, "last_failure": now, "last_success": None}
        insert = self._database.insert(SignInRow)
        insert = insert.values([{"key": key, **fresh} for key in sorted(keys)])
        # A no-op update that locks and returns the row.
        same = {"failures": SignInRow.failures}
        query = insert.on_conflict_do_update(index_elements=["key"], set_=same)
        found = {row.key: row for row in await session.scalars(query.returning(SignInRow))}
        return [found[key] for key in keys]

    def _wait(self, excess: int) -> float:
        """Return the wait in seconds after ``excess`` failures beyond the free ones."""
        if excess <= 0:
            return 0.0
        return min(2.0 ** min(excess - 1, 64), self._policy.longest)


def _is_known(pair: SignInRow, now: float) -> bool:
    """Return whether the account was signed in to from the address recently."""
    return pair.last_success is not None and pair.last_success > now - REMEMBER_SECONDS


def _keys(account: str, address: str) -> list[str]:
    """Return digests of the pair, the address and the account: the table holds no names."""
    network = network_of(address)
    names = (f"pair\0{account}\0{network}", f"address\0{network}", f"account\0{account}")
    return [hashlib.sha256(name.encode("utf-8", "replace")).hexdigest() for name in names]


def network_of(address: str) -> str:
    """Return the address to count by; the /64 for IPv6, because a subscriber has all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
