"""Access tokens that were revoked before they expired.

Tokens are verified without the store, so every server keeps the short list of revocations in memory
and reads new ones every second. If the list could not be read for too long, no token is accepted:
refusing all is better than accepting a revoked one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from auth.principal import Principal
from auth.store.database import Database
from auth.store.tables import RevocationRow
from schemas.errors import NotReady, Unauthenticated

OVERLAP = 30.0
"""Seconds read again, for transactions of other servers that lag behind."""


class Kind(StrEnum):
    """Subject of a revocation."""

    TOKEN = "token"  # noqa: S105 - a kind, not a token
    SESSION = "session"
    ACCOUNT = "account"
    """The account's tokens without a session that were issued before the revocation."""


class Revoked(NamedTuple):
    """A row: the subject, when it was revoked and when that expires (seconds since the epoch)."""

    kind: Kind
    value: str
    at: float
    until: float


class Revocations:
    """The list of revocations, in memory and in the store."""

    def __init__(
        self,
        database: Database,
        *,
        longest_life: float,
        max_age: float,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without a list; nothing can be checked before ``refresh``.

        Args:
            longest_life: longest life of an access token in seconds, tolerated skew included.
            max_age: seconds for which the list may be out of date.
            on_change: called when something was revoked.
            clock: seconds since the epoch.
            monotonic: seconds that never go back.
        """
        self._database, self._longest_life, self._max_age = database, longest_life, max_age
        self._on_change, self._clock, self._monotonic = on_change, clock, monotonic
        self._revoked: dict[tuple[str, str], tuple[float, float]] = {}
        self._last_id, self._read_until, self._read_at = 0, 0.0, 0.0
        self._fresh_at = float("-inf")

    def check(self, principal: Principal) -> None:
        """Check that a token was not revoked.

        Raises:
            Unauthenticated: if it was.
            NotReady: if the list is out of date.
        """
        self.require_fresh()
        for kind, value in _names(principal):
            revoked = self._revoked.get((kind, value))
            # Tokens carry whole seconds, so the second of the revocation counts as before.
            if revoked and (kind != Kind.ACCOUNT or principal.issued_at <= revoked[0]):
                message = "The access token was revoked."
                raise Unauthenticated(message)

    def require_fresh(self) -> None:
        """Check that the list is fresh enough.

        Raises:
            NotReady: if the store has not answered for too long.
        """
        if self._monotonic() - self._fresh_at > self._max_age:
            message = "The account store does not answer, so access tokens cannot be checked."
            raise NotReady(message, retry_after=5)

    async def add(self, what: Iterable[tuple[Kind, str]], *, until: float = 0.0) -> None:
        """Revoke here at once, on other servers at their next refresh.

        ``until``: expiry of the token, if it may outlive our own tokens.
        """
        async with self._database.write() as session:
            revoked = await self.write(session, what, until=until)
        self.note(revoked)

    async def write(
        self, session: AsyncSession, what: Iterable[tuple[Kind, str]], *, until: float = 0.0
    ) -> list[Revoked]:
        """Revoke in the caller's transaction; pass the result to ``note`` after the commit."""
        now = self._clock()
        until = max(until, now + self._longest_life)
        revoked = [Revoked(kind, value, now, until) for kind, value in what]
        if revoked:
            await session.execute(insert(RevocationRow), [one._asdict() for one in revoked])
        return revoked

    def note(self, revoked: Iterable[Revoked]) -> None:
        """Apply revocations in this process."""
        news = [self._is_news(one) for one in revoked]
        if any(news):
            self._on_change()

    async def refresh(self) -> None:
        """Read what other servers revoked since the last refresh."""
        began, now = self._monotonic(), self._clock()
        if now < self._read_at:  # the clock went back: expired rows may count again
            self._last_id, self._read_until = 0, 0.0
        # By id for servers whose clocks are far apart; by time because SQLite may reuse ids.
        is_new = (RevocationRow.id > self._last_id) | (
            RevocationRow.at >= self._read_until - OVERLAP
        )
        query = select(RevocationRow).where(RevocationRow.until > now, is_new)
        async with self._database.read() as session:
            rows = list(await session.scalars(query))
        self._last_id = max([self._last_id, *(row.id for row in rows)])
        self._read_until = max([self._read_until, *(row.at for row in rows)])
        self._fresh_at, self._read_at = began, now
        self.note(Revoked(Kind(row.kind), row.value, row.at, row.until) for row in rows)
        for name in [name for name, (_, until) in self._revoked.items() if until <= now]:
            del self._revoked[name]

    async def prune(self) -> None:
        """Delete expired revocations from the store."""
        async with self._database.write() as session:
            await session.execute(delete(RevocationRow).where(RevocationRow.until <= self._clock()))

    def _is_news(self, revoked: Revoked) -> bool:
        known = self._revoked.get((revoked.kind, revoked.value))
        if known and known[0] >= revoked.at:
            return False
        self._revoked[revoked.kind, revoked.value] = (revoked.at, revoked.until)
        return True


def _names(principal: Principal) -> list[tuple[Kind, str]]:
    names = [(Kind.TOKEN, principal.token_id)]
    if principal.session_id is not None:
        return [*names, (Kind.SESSION, principal.session_id)]
    return [*names, (Kind.ACCOUNT, principal.name)]
