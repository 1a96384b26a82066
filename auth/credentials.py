"""Verification of account names and secrets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from auth.limiting.lockout import Lockout, SignInBlocked
from auth.passwords import (
    MAX_PASSWORD_CHARS,
    NOBODY,
    hash_password,
    is_text,
    verify_password,
)
from auth.principal import Origin
from auth.store.accounts import Account, AccountStore, Kind, is_name
from observability.logs.audit import Audit, AuditEvent
from schemas.errors import InvalidCredentials, RateLimited


class Credentials:
    """Credential verifier. An unknown name takes the same time as a wrong password."""

    def __init__(
        self, accounts: AccountStore, lockout: Lockout, audit: Audit, *, max_waiting: int
    ) -> None:
        """``max_waiting``: maximum number of sign-ins that wait for the password hash."""
        self._accounts, self._lockout, self._audit = accounts, lockout, audit
        self._max_waiting, self._waiting = max_waiting, 0
        # One thread: hashing takes 19 MiB and a core, and must not crowd out inference.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="potoo-password")

    def close(self) -> None:
        """Stop the hashing thread."""
        self._hashing.shutdown(cancel_futures=True)

    async def prove(self, name: str, secret: str, kind: Kind, origin: Origin) -> Account:
        """Return the account of that kind if the secret is right.

        Raises:
            InvalidCredentials: unknown, of another kind, wrong or disabled.
            RateLimited, SignInBlocked: if too many attempts are waiting, or too many failed.
            NotReady: if the store does not answer.
        """
        with self._turn():
            try:
                was_known = await self._lockout.charge(name, origin.address)
            except SignInBlocked:
                blocked = await self._accounts.get(name) if is_name(name) else None
                self._audit.record(
                    AuditEvent.SIGN_IN_BLOCKED,
                    # An unknown name may be a password in the wrong field.
                    account=blocked.name if blocked else None,
                    address=origin.address,
                )
                raise
            possible = is_name(name) and len(secret) <= MAX_PASSWORD_CHARS and is_text(secret)
            account = await self._accounts.get(name) if possible else None
            if account is not None and account.kind != kind:
                account = None
            matches = await asyncio.get_running_loop().run_in_executor(
                self._hashing,
                verify_password,
                account.secret_hash if account else NOBODY,
                secret if possible else "",
            )
            if account is None or not matches or account.is_disabled:
                self._audit.record(
                    AuditEvent.SIGN_IN_FAILED,
                    # An unknown name may be a password in the wrong field.
                    account=account.name if account else None,
                    address=origin.address,
                )
                raise InvalidCredentials
            await self._lockout.refund(name, origin.address, was_known=was_known)
        return account

    async def hash(self, secret: str) -> str:
        """Return the encoded hash to store."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hashing, hash_password, secret)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self._waiting >= self._max_waiting:
            message = "Too many sign-ins at once."
            raise RateLimited(message, retry_after=1)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
