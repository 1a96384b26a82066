"""Credentials to token, token to principal."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from auth.passwords import MAX_PASSWORD_CHARS, NOBODY, verify_password
from auth.principal import Principal, Scope
from auth.settings import AuthSettings
from auth.store import MAX_NAME_CHARS, AccountStore
from auth.tokens import TokenCodec
from schemas.errors import InsufficientScope, InvalidCredentials, RateLimited


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh access token and what it grants. ``expires_in``: seconds."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]


class Authenticator:
    """One policy for every transport.

    Verified tokens are remembered until they expire, so a token's signature is checked once.
    """

    def __init__(
        self,
        store: AccountStore,
        codec: TokenCodec,
        settings: AuthSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._store, self._codec, self._settings, self._clock = store, codec, settings, clock
        self._verified: OrderedDict[str, Principal] = OrderedDict()
        # One thread: hashing takes 19 MiB and a core, and must not crowd out inference.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="potoo-password")
        self._sign_ins = 0

    def close(self) -> None:
        """Stops the hashing thread."""
        self._hashing.shutdown(cancel_futures=True)

    def authenticate(self, token: str) -> Principal:
        """The caller that a bearer token stands for. Takes microseconds once it was seen.

        Raises:
            Unauthenticated: if the token does not hold.
        """
        principal = self._verified.get(token)
        if principal is not None and principal.expires_at > self._clock():
            return principal
        self._verified.pop(token, None)
        principal = self._codec.verify(token)
        self._verified[token] = principal
        if len(self._verified) > self._settings.token_cache_size:
            self._verified.popitem(last=False)
        return principal

    async def sign_in(
        self, name: str, password: str, scopes: frozenset[Scope] | None
    ) -> IssuedToken:
        """Trades a name and its password for an access token.

        Takes the same time for an unknown name as for a wrong password.

        Args:
            scopes: what is asked for; None for all that the account has.

        Raises:
            InvalidCredentials: unknown, wrong or disabled.
            InsufficientScope: if the account lacks a scope that was asked for.
            RateLimited: if too many sign-ins wait already.
            NotReady: if the store does not answer.
        """
        if self._sign_ins >= self._settings.sign_ins_waiting:
            message = "Too many sign-ins at once."
            raise RateLimited(message, retry_after=1)
        self._sign_ins += 1
        try:
            possible = (
                len(name) <= MAX_NAME_CHARS
                and len(password) <= MAX_PASSWORD_CHARS
                and _is_text(name + password)
            )
            account = await self._store.get(name) if possible else None
            matches = await asyncio.get_running_loop().run_in_executor(
                self._hashing,
                verify_password,
                account.password_hash if account else NOBODY,
                password if possible else "",
            )
        finally:
            self._sign_ins -= 1
        if account is None or not matches or account.is_disabled:
            raise InvalidCredentials
        granted = account.scopes if scopes is None else scopes
        if missing := granted - account.scopes:
            raise InsufficientScope(min(missing))
        seconds = self._settings.access_token_seconds
        return IssuedToken(self._codec.issue(account.name, granted, seconds), seconds, granted)


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8, which a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
