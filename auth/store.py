"""Accounts in SQL: SQLite by default, any database that SQLAlchemy's async engines speak to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, DateTime, String, event, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from auth.principal import Scope, format_scopes, known_scopes
from schemas.errors import NotReady

MAX_NAME_CHARS = 100


class AccountExists(Exception):
    """There is an account of that name already."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a device that may sign in."""

    name: str
    password_hash: str
    scopes: frozenset[Scope]
    is_disabled: bool
    created: datetime


class _Base(DeclarativeBase):
    pass


class _AccountRow(_Base):
    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[str] = mapped_column(String(255))
    is_disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    def account(self) -> Account:
        return Account(
            self.name,
            self.password_hash,
            known_scopes(self.scopes),
            self.is_disabled,
            self.created.replace(tzinfo=UTC),
        )


class AccountStore:
    """Accounts by name. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._session = async_sessionmaker(engine, expire_on_commit=False)

    async def create_tables(self) -> None:
        """Makes what is missing; safe to repeat."""
        async with _available(), self._engine.begin() as connection:
            await connection.run_sync(_Base.metadata.create_all)

    async def get(self, name: str) -> Account | None:
        """The account of that name, if there is one."""
        async with _available(), self._session() as session:
            row = await session.get(_AccountRow, name)
            return row.account() if row else None

    async def list(self) -> list[Account]:
        """Every account, by name."""
        async with _available(), self._session() as session:
            rows = await session.scalars(select(_AccountRow).order_by(_AccountRow.name))
            return [row.account() for row in rows]

    async def add(self, name: str, password_hash: str, scopes: frozenset[Scope]) -> None:
        """Adds an account.

        Raises:
            AccountExists: if the name is taken.
        """
        row = _AccountRow(
            name=name,
            password_hash=password_hash,
            scopes=format_scopes(scopes),
            is_disabled=False,
            created=datetime.now(UTC),
        )
        try:
            async with _available(), self._session.begin() as session:
                session.add(row)
        except IntegrityError as error:
            raise AccountExists from error

    async def set_password(self, name: str, password_hash: str) -> bool:
        """Stores another hash; False if there is no such account."""
        async with _available(), self._session.begin() as session:
            changed = await session.execute(
                update(_AccountRow)
                .where(_AccountRow.name == name)
                .values(password_hash=password_hash)
                .returning(_AccountRow.name)
            )
            return changed.first() is not None


@asynccontextmanager
async def open_store(url: URL | str) -> AsyncIterator[AccountStore]:
    """A store with its tables made; the engine is disposed of on exit."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    try:
        store = AccountStore(engine)
        await store.create_tables()
        yield store
    finally:
        await engine.dispose()


def sqlite_url(file: Path) -> URL:
    """The URL of an embedded database, whose file is made readable to its owner alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return URL.create("sqlite+aiosqlite", database=str(file))


def _tune_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # Readers and the writer do not wait for each other; a second process waits up to 5 s.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, OSError) as error:
        message = "The account store does not answer."
        raise NotReady(message, retry_after=5) from error
