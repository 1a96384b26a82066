"""Slows down whoever guesses passwords, without locking anybody out for good.

Failures are counted for the account and address together, for the address, and for the account.
Beyond a number of them each further one doubles the wait for the next try, up to a longest. A try
that comes too early is refused unseen: it neither counts nor prolongs the wait. Whoever signed in
to the account from the same address before does not wait for what others do to it, and what goes
wrong then counts between the two alone.

A try is charged before the password is looked at and refunded if it was right, so that many at the
same moment have no more tries than one after the other.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from auth.database import Database
from auth.tables import SignInRow
from schemas.errors import RateLimited

FORGET_SECONDS = 24 * 3600.0
"""A failure counts for a day."""
REMEMBER_SECONDS = 90 * 24 * 3600.0
"""An address from which somebody signed in stays known for so long."""
ADDRESS_FACTOR = 2.5
"""An address may stand for an office, an account be mistyped by its owner: they get more tries."""


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """``free`` failures cost nothing; then 1, 2, 4 … seconds up to ``longest``. 0 free: off."""

    free: int
    longest: float


class SignInBlocked(RateLimited):
    """Too many failures; ``retry_after`` says when the next try is looked at."""


class Lockout:
    """Who must wait before the next sign-in. Raises ``NotReady`` if the store does not answer."""

    def __init__(
        self, database: Database, policy: LockoutPolicy, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._policy, self._clock = database, policy, clock

    async def charge(self, account: str, address: str) -> bool:
        """Counts a try as failed until ``refund`` says otherwise.

        Returns:
            Whether the account was signed in to from there before, which ``refund`` wants to know.

        Raises:
            SignInBlocked: if it has to wait; then it is not counted.
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
                # Its clock may be behind the one that said until when.
                raise SignInBlocked(message, retry_after=min(wait, self._policy.longest))
            for row in concerning:
                is_stale = row.last_failure < now - FORGET_SECONDS
                row.failures = 1 if is_stale else row.failures + 1
                free = self._policy.free * (1 if row is rows[0] else ADDRESS_FACTOR)
                wait = self._wait(row.failures - int(free))
                # Not even until now: another server's clock may be a little behind.
                row.blocked_until = now + wait if wait else 0.0
                row.last_failure = now
        return was_known

    async def refund(self, account: str, address: str, *, was_known: bool = False) -> None:
        """The try was right: its owner is not to suffer, the address gets its try back.

        ``was_known``: what ``charge`` said; of several first tries each takes back its own.
        """
        if not self._policy.free:
            return
        now = self._clock()
        async with self._database.write() as session:
            pair, *wide = await self._locked(session, _keys(account, address), now)
            # Whoever was known already was not charged for the others, and clears no wait there:
            # else an attacker with an account of their own could.
            for row in [] if was_known else wide:
                row.failures, row.blocked_until = max(0, row.failures - 1), 0.0
            pair.failures, pair.blocked_until, pair.last_success = 0, 0.0, now

    async def prune(self) -> None:
        """Forgets what no longer counts."""
        now = self._clock()
        is_over = (
            (SignInRow.last_failure < now - FORGET_SECONDS)
            & (SignInRow.blocked_until < now)
            & (SignInRow.last_success.is_(None) | (SignInRow.last_success < now - REMEMBER_SECONDS))
        )
        # Those that somebody else has locked are in use, and stay until the next time.
        keys = select(SignInRow.key).where(is_over).with_for_update(skip_locked=True)
        async with self._database.write() as session:
            await session.execute(delete(SignInRow).where(SignInRow.key.in_(keys)))

    async def _locked(self, session: AsyncSession, keys: list[str], now: float) -> list[SignInRow]:
        """Their rows, made if they are missing: there must be something to lock for the first try.

        Everybody locks in one order, so that no two wait for each other.
        """
        fresh = {"failures": 0, "blocked_until": 0.0, "last_failure": now, "last_success": None}
        insert = self._database.insert(SignInRow)
        insert = insert.values([{"key": key, **fresh} for key in sorted(keys)])
        # That changes nothing, but locks and returns the row.
        same = {"failures": SignInRow.failures}
        query = insert.on_conflict_do_update(index_elements=["key"], set_=same)
        found = {row.key: row for row in await session.scalars(query.returning(SignInRow))}
        return [found[key] for key in keys]

    def _wait(self, excess: int) -> float:
        """Seconds that the failure costs which is that many beyond the free ones."""
        if excess <= 0:
            return 0.0
        return min(2.0 ** min(excess - 1, 64), self._policy.longest)


def _is_known(pair: SignInRow, now: float) -> bool:
    """Whether the account was signed in to from the address lately."""
    return pair.last_success is not None and pair.last_success > now - REMEMBER_SECONDS


def _keys(account: str, address: str) -> list[str]:
    """Of the pair, the address, the account: digests, so that the table names nobody."""
    network = network_of(address)
    names = (f"pair\0{account}\0{network}", f"address\0{network}", f"account\0{account}")
    return [hashlib.sha256(name.encode("utf-8", "replace")).hexdigest() for name in names]


def network_of(address: str) -> str:
    """Who counts as one address: an IPv6 subscriber has a whole /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
