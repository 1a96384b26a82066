"""Changes to people and clients, with their consequences: ended sessions, revoked tokens.

Used by the admin routes and the command line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from auth.credentials import Credentials
from auth.grants import Grants
from auth.passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, is_text, make_secret
from auth.principal import DEFAULT_SCOPES, MAX_WEIGHT, Scope
from auth.store.accounts import (
    Account,
    AccountExists,
    AccountStore,
    Change,
    Kind,
    LastAdmin,
    is_name,
)
from auth.store.tables import MAX_NAME_CHARS
from observability.logs.audit import Audit, AuditEvent
from schemas.errors import Conflict, InvalidParameter, NotFound, Violation

MAX_MODELS_CHARS = 4000


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Properties of a new account.

    ``models``: names of the permitted models; None for all. ``weight``: 1 to ``MAX_WEIGHT``.
    """

    name: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    models: frozenset[str] | None = None
    may_introspect: bool = False
    weight: int = 1


class Administration:
    """Account administration. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting administrator, for the security log.
    """

    def __init__(
        self,
        accounts: AccountStore,
        credentials: Credentials,
        grants: Grants,
        audit: Audit,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._accounts, self._hash, self._grants = accounts, credentials.hash, grants
        self._audit, self._clock = audit, clock

    async def all(self, kind: Kind) -> list[Account]:
        """Return the people or the clients, ordered by name."""
        return await self._accounts.all(kind)

    async def get(self, name: str, kind: Kind) -> Account:
        """Return one account.

        Raises:
            NotFound: if no account has that name and kind.
        """
        account = await self._accounts.get(name) if is_name(name) else None
        if account is None or account.kind != kind:
            _missing()
        return account

    async def add_person(self, new: NewAccount, password: str, *, by: str) -> Account:
        """Add a person.

        Raises:
            InvalidParameter: if the name, the models, the weight or the password are invalid.
            Conflict: if the name is taken.
        """
        _require_password(password)
        return await self._add(new, Kind.PERSON, password, by)

    async def add_client(self, new: NewAccount, *, by: str) -> tuple[Account, str]:
        """Add a client; return it and its secret, which is shown only once.

        Raises:
            As ``add_person``.
        """
        secret = make_secret()
        return await self._add(new, Kind.CLIENT, secret, by), secret

    async def set_password(self, name: str, password: str, *, by: str) -> None:
        """Set a person's password and sign out all their devices.

        Raises:
            InvalidParameter: if the password is invalid.
            NotFound: if there is no such person.
        """
        _require_password(password)
        await self._set_secret(name, Kind.PERSON, password, by)

    async def rotate_secret(self, name: str, *, by: str) -> str:
        """Replace a client's secret; revoke the tokens issued before.

        Raises:
            NotFound: if there is no such client.
        """
        secret = make_secret()
        await self._set_secret(name, Kind.CLIENT, secret, by)
        return secret

    async def change(
        self,
        name: str,
        kind: Kind,
        *,
        is_disabled: bool | None = None,
        scopes: frozenset[Scope] | None = None,
        weight: int | None = None,
        by: str,
    ) -> Account:
        """Enable or disable an account, set its scopes or its weight; None leaves it as it is.

        Its tokens are revoked if it loses rights. A weight is part of a token: a new one holds from
        the next token on.

        Raises:
            InvalidParameter: if the weight is invalid.
            NotFound: if no account has that name and kind.
            Conflict: if the change removes the last administrator.
        """
        if weight is not None:
            _require_weight(weight)
        account = await self.get(name, kind)
        changed = replace(
            account,
            is_disabled=account.is_disabled if is_disabled is None else is_disabled,
            scopes=account.scopes if scopes is None else scopes,
            weight=account.weight if weight is None else weight,
        )
        await self._change(
            name, kind, Change(is_disabled=is_disabled, scopes=scopes, weight=weight)
        )
        if changed.is_disabled or account.scopes - changed.scopes:
            await self._sign_out(account)
        self._audit.record(
            AuditEvent.ACCOUNT_CHANGED,
            account=name,
            by=by,
            is_disabled=changed.is_disabled,
            scopes=sorted(changed.scopes),
            weight=changed.weight,
        )
        return changed

    async def remove(self, name: str, kind: Kind, *, by: str) -> None:
        """Remove a person or a client.

        Raises:
            NotFound: if no account has that name and kind.
            Conflict: if the account is the last administrator.
        """
        account = await self.get(name, kind)
        # Disable first: no sign-in meanwhile, and after a crash the account is still listed.
        await self._change(name, kind, Change(is_disabled=True))
        await self._grants.sign_out(name)
        if not await self._accounts.remove(name, kind):
            _missing()
        await self._sign_out(account)  # again, for tokens issued at the last moment
        self._audit.record(AuditEvent.ACCOUNT_REMOVED, account=name, by=by)

    async def _add(self, new: NewAccount, kind: Kind, secret: str, by: str) -> Account:
        if not is_name(new.name):
            detail = f"A name has 1 to {MAX_NAME_CHARS} printable characters and no '|'"
            raise InvalidParameter(violations=(Violation("/body/name", detail),))
        if new.models is not None and len(" ".join(new.models)) > MAX_MODELS_CHARS:
            raise InvalidParameter(violations=(Violation("/body/models", "Too many models"),))
        _require_weight(new.weight)
        account = Account(
            name=new.name,
            kind=kind,
            secret_hash=await self._hash(secret),
            scopes=new.scopes,
            models=new.models,
            may_introspect=new.may_introspect,
            is_disabled=False,
            created=self._clock(),
            weight=new.weight,
        )
        try:
            await self._accounts.add(account)
        except AccountExists:
            raise Conflict("An account with this name exists already.") from None
        self._audit.record(
            AuditEvent.ACCOUNT_ADDED, account=new.name, by=by, scopes=sorted(new.scopes)
        )
        return account

    async def _change(self, name: str, kind: Kind, change: Change) -> None:
        try:
            if not await self._accounts.change(name, change, kind):
                _missing()
        except LastAdmin:
            message = "This is the last administrator; add another one first."
            raise Conflict(message) from None

    async def _set_secret(self, name: str, kind: Kind, secret: str, by: str) -> None:
        account = await self.get(name, kind)
        hashed = await self._hash(secret)
        await self._change(name, kind, Change(secret_hash=hashed))
        await self._sign_out(account)
        self._audit.record(AuditEvent.SECRET_CHANGED, account=name, by=by)

    async def _sign_out(self, account: Account) -> None:
        await self._grants.sign_out(account.name)
        if account.kind is Kind.CLIENT:
            # Tokens carry the second of issue. One issued from now on, such as with the secret
            # about to be returned, must not count as issued before the revocation.
            await asyncio.sleep(1 - self._clock() % 1)


def _require_password(password: str) -> None:
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS or not is_text(password):
        detail = f"A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters"
        raise InvalidParameter(violations=(Violation("/body/password", detail),))


def _require_weight(weight: int) -> None:
    if not 1 <= weight <= MAX_WEIGHT:
        detail = f"A weight is a number from 1 to {MAX_WEIGHT}"
        raise InvalidParameter(violations=(Violation("/body/weight", detail),))


def _missing() -> NoReturn:
    raise NotFound("There is no account with this name.")
