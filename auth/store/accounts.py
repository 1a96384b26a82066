"""Accounts: the people, devices and backends that may sign in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth.principal import Scope, format_scopes, known_scopes
from auth.store.database import Database
from auth.store.tables import MAX_NAME_CHARS, AccountRow


class AccountExists(Exception):
    """The account name is already taken."""


class LastAdmin(Exception):
    """The change would leave no enabled person with the admin scope."""


class Kind(StrEnum):
    """How an account signs in."""

    PERSON = "person"
    """Signs in with a password and receives refresh tokens."""
    CLIENT = "client"
    """A device or backend with a generated secret (RFC 6749, section 4.4)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One stored account.

    ``created``: seconds since the epoch; ``models``: None for all; ``weight``: 1 to ``MAX_WEIGHT``.
    """

    name: str
    kind: Kind
    secret_hash: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None
    may_introspect: bool
    is_disabled: bool
    created: float
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """Changes to an account; None leaves a field unchanged."""

    secret_hash: str | None = None
    scopes: frozenset[Scope] | None = None
    is_disabled: bool | None = None
    weight: int | None = None


def is_name(text: str) -> bool:
    """Return whether the name is valid: 1 to 100 printable characters, no ``|``.

    Invalid names are never queried: databases fail on some characters.
    """
    return 1 <= len(text) <= MAX_NAME_CHARS and text.isprintable() and "|" not in text


class AccountStore:
    """Accounts by name. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> Account | None:
        """Return the account with that name, or None."""
        async with self._database.read() as session:
            row = await session.get(AccountRow, name)
            return _account(row) if row else None

    async def all(self, kind: Kind | None = None) -> list[Account]:
        """Return the accounts of one kind, or all, ordered by name."""
        query = select(AccountRow).order_by(AccountRow.name)
        if kind is not None:
            query = query.where(AccountRow.kind == kind)
        async with self._database.read() as session:
            return [_account(row) for row in await session.scalars(query)]

    async def add(self, account: Account) -> None:
        """Add an account.

        Raises:
            AccountExists: if the name is taken.
        """
        row = AccountRow(
            name=account.name,
            kind=account.kind,
            secret_hash=account.secret_hash,
            scopes=format_scopes(account.scopes),
            models=None if account.models is None else " ".join(sorted(account.models)),
            may_introspect=account.may_introspect,
            is_disabled=account.is_disabled,
            created=account.created,
            weight=account.weight,
        )
        try:
            async with self._database.write() as session:
                session.add(row)
        except IntegrityError as error:
            raise AccountExists from error

    async def change(self, name: str, change: Change, kind: Kind | None = None) -> bool:
        """Change an account; return False if no account has that name and kind.

        Raises:
            LastAdmin: if the change removes the last administrator.
        """
        values: dict[str, Any] = {}
        if change.secret_hash is not None:
            values["secret_hash"] = change.secret_hash
        if change.scopes is not None:
            values["scopes"] = format_scopes(change.scopes)
        if change.is_disabled is not None:
            values["is_disabled"] = change.is_disabled
        if change.weight is not None:
            values["weight"] = change.weight
        if not values:
            account = await self.get(name)
            return account is not None and kind in {None, account.kind}
        query = update(AccountRow).where(AccountRow.name == name).values(values)
        if kind is not None:
            query = query.where(AccountRow.kind == kind)
        loses_admin = change.scopes is not None and Scope.ADMIN not in change.scopes
        async with self._database.write() as session:
            if change.is_disabled or loses_admin:
                await _keep_an_admin(session, name)
            changed = await session.execute(query.returning(AccountRow.name))
            return changed.first() is not None

    async def remove(self, name: str, kind: Kind | None = None) -> bool:
        """Remove an account and its sessions; return False if none has that name and kind.

        Raises:
            LastAdmin: if the account is the last administrator.
        """
        query = delete(AccountRow).where(AccountRow.name == name)
        if kind is not None:
            query = query.where(AccountRow.kind == kind)
        async with self._database.write() as session:
            await _keep_an_admin(session, name)
            removed = await session.execute(query.returning(AccountRow.name))
            return removed.first() is not None


async def _keep_an_admin(session: AsyncSession, name: str) -> None:
    administers = (
        (AccountRow.kind == Kind.PERSON)
        & AccountRow.is_disabled.is_(False)
        & (" " + AccountRow.scopes + " ").contains(f" {Scope.ADMIN} ")
    )
    # Lock all administrators: two concurrent removals must not each rely on the other.
    query = select(AccountRow.name).where(administers).order_by(AccountRow.name).with_for_update()
    if list(await session.scalars(query)) == [name]:
        raise LastAdmin


def _account(row: AccountRow) -> Account:
    return Account(
        row.name,
        Kind(row.kind),
        row.secret_hash,
        known_scopes(row.scopes),
        None if row.models is None else frozenset(row.models.split()),
        row.may_introspect,
        row.is_disabled,
        row.created,
        row.weight,
    )
