"""Sessions over stateless HTTP: one per signed-in device, kept alive by rotating refresh tokens.

A refresh token is ``prt_`` and 48 random bytes: a handle shared by all tokens of its family, and
its own secret. The store holds digests only. Every use issues the next token; reuse of an older
token indicates theft, so the session ends (RFC 9700, section 4.14.2). Ending a session revokes its
access tokens in the same transaction.

A client may lose the response that held its next token. It may repeat the previous token for
``grace`` seconds, which replaces the lost token; but not within a second, so that exactly one of
several concurrent uses succeeds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth.principal import Origin, Scope, format_scopes, known_scopes
from auth.store.database import Database
from auth.store.revocations import Kind, Revocations, Revoked
from auth.store.tables import MAX_DEVICE_CHARS, SessionRow
from schemas.errors import InvalidCredentials, RateLimited

PREFIX = "prt_"
"""Prefix of refresh tokens, by which secret scanners recognise a leaked one."""
HANDLE_BYTES, SECRET_BYTES = 16, 32
REPEAT_AFTER = 1.0
"""Seconds: an earlier repeat is a concurrent use, not a lost response."""


class RefreshReused(InvalidCredentials):
    """A used refresh token was presented again; its session is over."""

    def __init__(self, account: str, session_id: str) -> None:
        super().__init__("The refresh token was used before; sign in again.")
        self.account, self.session_id = account, session_id


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device. Times are seconds since the epoch."""

    id: str
    account: str
    client_id: str
    device: str
    scopes: frozenset[Scope]
    created: float
    last_seen: float
    expires: float


@dataclass(frozen=True, slots=True)
class Policy:
    """Session limits: ``lifetime`` without use and ``grace`` in seconds, count ``per_account``."""

    lifetime: float
    grace: float
    per_account: int


class SessionStore:
    """Sessions by id and by refresh token. Raises ``NotReady`` if the database does not answer."""

    def __init__(
        self,
        database: Database,
        revocations: Revocations,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._revocations = database, revocations
        self._policy, self._clock = policy, clock

    async def open(
        self,
        account: str,
        client_id: str,
        scopes: frozenset[Scope],
        origin: Origin,
        *,
        lifetime: float | None = None,
    ) -> tuple[Session, str]:
        """Open a session with its first refresh token; end the least recent beyond the limit.

        Args:
            lifetime: seconds without a refresh; None for that of the policy.

        Raises:
            InvalidCredentials: if the account was removed meanwhile.
        """
        now, handle, secret = self._clock(), *_random()
        row = SessionRow(
            id=uuid.uuid4().hex,
            account=account,
            client_id=client_id,
            device=device_name(origin.device),
            scopes=format_scopes(scopes),
            created=now,
            last_seen=now,
            expires=now + (self._policy.lifetime if lifetime is None else lifetime),
            handle=_digest(handle),
            current=_digest(secret),
            previous=None,
            rotated=None,
            answered=now,
        )
        try:
            async with self._database.write() as session:
                session.add(row)
                await session.flush()
                # Exclude the new session, in case the clock went back.
                newest_first = (
                    select(SessionRow.id)
                    .where(SessionRow.account == account, SessionRow.id != row.id)
                    .order_by(SessionRow.last_seen.desc(), SessionRow.created.desc())
                    .offset(self._policy.per_account - 1)
                )
                too_old = list(await session.scalars(newest_first))
                revoked: list[Revoked] = []
                if too_old:
                    _, revoked = await self._delete(session, SessionRow.id.in_(too_old))
        except IntegrityError:
            raise InvalidCredentials from None
        self._revocations.note(revoked)
        return _session(row), _written(handle, secret)

    async def rotate(self, token: str) -> tuple[Session, str]:
        """Exchange a refresh token for the session's next one.

        Raises:
            InvalidCredentials: if the token is malformed, or its session is over.
            RefreshReused: if it was used before; this ends the session.
            RateLimited: if another use of it was answered less than a second ago.
        """
        handle, secret = _read(token)
        now, (_, successor) = self._clock(), _random()
        is_live = (SessionRow.handle == _digest(handle)) & (SessionRow.expires > now)
        is_current = SessionRow.current == _digest(secret)
        may_repeat = (
            (SessionRow.previous == _digest(secret))
            & (SessionRow.rotated >= now - self._policy.grace)
            & (SessionRow.answered <= now - REPEAT_AFTER)
        )
        seen = {
            "current": _digest(successor),
            "last_seen": now,
            "answered": now,
            "expires": now + self._policy.lifetime,
        }
        # Each is a single statement, so that only one of two concurrent callers matches.
        use = update(SessionRow).where(is_live & is_current)
        use = use.values(previous=SessionRow.current, rotated=now, **seen).returning(SessionRow)
        repeat = update(SessionRow).where(is_live & may_repeat).values(**seen).returning(SessionRow)
        async with self._database.write() as session:
            for statement in (use, repeat):
                if row := await session.scalar(statement):
                    return _session(row), _written(handle, successor)
            row = await session.scalar(select(SessionRow).where(is_live))
            if row is None:
                raise InvalidCredentials("The refresh token is not valid; sign in again.")
            just_now = row.previous == _digest(secret) and row.answered > now - REPEAT_AFTER
            if not just_now:
                _, revoked = await self._delete(session, SessionRow.id == row.id)
        if just_now:
            message = "This refresh token was used a moment ago. If the answer was lost, try again."
            raise RateLimited(message, retry_after=REPEAT_AFTER)
        self._revocations.note(revoked)
        raise RefreshReused(row.account, row.id)

    async def find(self, token: str) -> Session | None:
        """Return the session of a live refresh token, or None, without using the token."""
        try:
            handle, secret = _read(token)
        except InvalidCredentials:
            return None
        query = select(SessionRow).where(
            SessionRow.handle == _digest(handle),
            SessionRow.current == _digest(secret),
            SessionRow.expires > self._clock(),
        )
        async with self._database.read() as session:
            row = await session.scalar(query)
            return _session(row) if row else None

    async def family(self, token: str) -> Session | None:
        """Return the session of a refresh token, live or used, or None."""
        try:
            handle, _ = _read(token)
        except InvalidCredentials:
            return None
        query = select(SessionRow).where(
            SessionRow.handle == _digest(handle), SessionRow.expires > self._clock()
        )
        async with self._database.read() as session:
            row = await session.scalar(query)
            return _session(row) if row else None

    async def of_account(self, account: str) -> list[Session]:
        """Return the sessions of an account, most recently seen first."""
        query = (
            select(SessionRow)
            .where(SessionRow.account == account, SessionRow.expires > self._clock())
            .order_by(SessionRow.last_seen.desc(), SessionRow.id)
        )
        async with self._database.read() as session:
            return [_session(row) for row in await session.scalars(query)]

    async def end(self, account: str, session_id: str | None = None) -> list[str]:
        """End one session of an account, or all of them and its other tokens.

        Returns:
            The ids of the ended sessions.
        """
        which = SessionRow.account == account
        if session_id is not None:
            which &= SessionRow.id == session_id
        async with self._database.write() as session:
            ended, revoked = await self._delete(session, which)
            if session_id is None:
                revoked += await self._revocations.write(session, [(Kind.ACCOUNT, account)])
        self._revocations.note(revoked)
        return ended

    async def prune(self) -> None:
        """Delete expired sessions."""
        async with self._database.write() as session:
            await session.execute(delete(SessionRow).where(SessionRow.expires <= self._clock()))

    async def _delete(
        self, session: AsyncSession, which: ColumnElement[bool]
    ) -> tuple[list[str], list[Revoked]]:
        """Delete sessions and revoke their tokens; return (ids, revocations for ``note``)."""
        query = delete(SessionRow).where(which).returning(SessionRow.id)
        ended = list(await session.scalars(query))
        revoked = await self._revocations.write(session, [(Kind.SESSION, one) for one in ended])
        return ended, revoked


def device_name(text: str) -> str:
    """Clean and truncate a device name for display and storage."""
    return "".join(c for c in text if c.isprintable())[:MAX_DEVICE_CHARS]


def is_refresh_token(text: str) -> bool:
    """Return whether the text has the prefix of our refresh tokens."""
    return text.startswith(PREFIX)


def _random() -> tuple[bytes, bytes]:
    return secrets.token_bytes(HANDLE_BYTES), secrets.token_bytes(SECRET_BYTES)


def _written(handle: bytes, secret: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(handle + secret).decode()


def _read(token: str) -> tuple[bytes, bytes]:
    """Decode a token into handle and secret."""
    length = len(PREFIX) + (HANDLE_BYTES + SECRET_BYTES) * 4 // 3
    try:
        if len(token) != length or not token.startswith(PREFIX):
            raise ValueError
        encoded = token[len(PREFIX) :].encode("ascii").translate(_STANDARD)
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        raise InvalidCredentials("The refresh token is not valid; sign in again.") from None
    return data[:HANDLE_BYTES], data[HANDLE_BYTES:]


_STANDARD = bytes.maketrans(b"-_+/", b"+/\0\0")
"""Map base64url to base64 and invalidate ``+`` and ``/``, so that a token has one spelling."""


def _digest(secret: bytes) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(secret).hexdigest()


def _session(row: SessionRow) -> Session:
    return Session(
        row.id,
        row.account,
        row.client_id,
        row.device,
        known_scopes(row.scopes),
        row.created,
        row.last_seen,
        row.expires,
    )
