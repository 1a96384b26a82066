"""The objects of identity on one database, wired like ``service/runtime/identity.py``.

The clock is manual. Two kits on one database represent two servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from auth.administration import Administration
from auth.authenticator import Authenticator
from auth.credentials import Credentials
from auth.grants import Grants, IssuedToken
from auth.issuers import TrustedIssuers
from auth.keys import KeySet
from auth.limiting.lockout import Lockout, LockoutPolicy
from auth.passwords import hash_password
from auth.principal import Origin, Scope
from auth.settings import AuthSettings
from auth.signing.tokens import TokenSigner
from auth.signing.verifier import Verifier
from auth.store.accounts import Account, AccountStore, Kind
from auth.store.database import Database, database_url, open_database
from auth.store.revocations import Revocations
from auth.store.sessions import Policy, SessionStore
from auth.store.tables import Table
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import Unauthenticated
from tests.support.auth.forge import KEY

START = 1_800_000_000.99
"""Late in a second, so that waits for the next second are short."""
SECRET = "correct horse"
HASH = hash_password(SECRET)
"""Created once, since hashing is slow."""
PHONE = Origin("192.0.2.1", "Anna's phone")
APP = "phone-app"
SCOPES = frozenset({Scope.CLASSIFY, Scope.MODELS_READ})
CLASSIFY = frozenset({Scope.CLASSIFY})
ADMIN = frozenset({Scope.ADMIN, Scope.CLASSIFY})
NEW_SECRET = "battery staple"
GARBAGE = ["", "prt_", "prt_" + "A" * 64, "a.b.c", "e30.e30.e30", "\0", "\ud800", "x" * 100_000]
"""Texts that are not tokens of this server."""
DAY = 86_400.0
OUTAGE_SECONDS = 60.0

Log = list[MutableMapping[str, Any]]


class Clock:
    """A manual clock in seconds."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True, slots=True)
class Kit:
    """The identity objects of one server."""

    clock: Clock
    database: Database
    accounts: AccountStore
    sessions: SessionStore
    lockout: Lockout
    credentials: Credentials
    revocations: Revocations
    authenticator: Authenticator
    signer: TokenSigner
    verifier: Verifier
    grants: Grants
    administration: Administration
    metrics: Metrics

    async def add(
        self,
        name: str,
        kind: Kind = Kind.PERSON,
        *,
        scopes: frozenset[Scope] = SCOPES,
        models: frozenset[str] | None = None,
        may_introspect: bool = False,
    ) -> Account:
        """An account whose secret is ``SECRET``."""
        account = Account(
            name,
            kind,
            HASH,
            scopes,
            models,
            may_introspect,
            is_disabled=False,
            created=self.clock(),
        )
        await self.accounts.add(account)
        return account

    def grants_with(self, credentials: Credentials) -> Grants:
        """Grants on the same stores, with some dependencies replaced."""
        return Grants(
            self.accounts,
            self.sessions,
            credentials,
            self.revocations,
            self.signer,
            self.verifier,
            AuthSettings(),
            Audit(self.metrics),
        )

    async def count(self, table: type[Table]) -> int:
        """Number of rows of a table."""
        async with self.database.read() as session:
            return (await session.scalar(select(func.count()).select_from(table))) or 0

    async def dump(self, table: type[Table]) -> str:
        """All rows of a table, as text."""
        async with self.database.read() as session:
            return repr([tuple(row) for row in await session.execute(select(table.__table__))])

    async def is_accepted(self, token: str) -> bool:
        """Whether a token is accepted; raises if that cannot be decided."""
        self.revocations.require_fresh()
        try:
            await self.authenticator.authenticate(token)
        except Unauthenticated:
            return False
        return True


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database of a URL, migrated."""
    async with open_database(database_url(url, Path("unused"))) as database:
        yield database


@asynccontextmanager
async def open_kit(url: str, clock: Clock, **settings: object) -> AsyncIterator[Kit]:
    """Identity objects on the database of the URL; ``settings``: group ``[auth]``."""
    auth, metrics = AuthSettings.model_validate(settings), Metrics()
    async with opened(url) as database:
        keys, audit = KeySet([KEY]), Audit(metrics)
        accounts = AccountStore(database)

        def forget() -> None:
            authenticator.forget()

        revocations = Revocations(
            database,
            longest_life=DAY,
            max_age=OUTAGE_SECONDS,
            on_change=forget,
            clock=clock,
            monotonic=clock,
        )
        sessions = SessionStore(
            database,
            revocations,
            Policy(
                auth.refresh_token_days * DAY, auth.refresh_grace_seconds, auth.sessions_per_account
            ),
            clock=clock,
        )
        lockout = Lockout(
            database, LockoutPolicy(auth.failures_free, auth.longest_wait_seconds), clock=clock
        )
        credentials = Credentials(accounts, lockout, audit, max_waiting=auth.sign_ins_waiting)

        issuers = TrustedIssuers(())
        signer = TokenSigner(keys, auth, clock=clock)
        verifier = Verifier(keys, issuers, auth, clock=clock)
        authenticator = Authenticator(
            verifier, revocations, issuers, cache_size=auth.token_cache_size, clock=clock
        )
        grants = Grants(accounts, sessions, credentials, revocations, signer, verifier, auth, audit)
        await revocations.refresh()
        try:
            yield Kit(
                clock=clock,
                database=database,
                accounts=accounts,
                sessions=sessions,
                lockout=lockout,
                credentials=credentials,
                revocations=revocations,
                authenticator=authenticator,
                signer=signer,
                verifier=verifier,
                grants=grants,
                administration=Administration(accounts, credentials, grants, audit, clock=clock),
                metrics=metrics,
            )
        finally:
            credentials.close()


async def sign_in(
    kit: Kit,
    name: str = "anna",
    secret: str = SECRET,
    *,
    scopes: frozenset[Scope] | None = None,
) -> IssuedToken:
    """Sign a user in, with an app on a phone."""
    return await kit.grants.password(name, secret, scopes, PHONE, APP)


async def call(kit: Kit, name: str, secret: str) -> IssuedToken:
    """Sign a client in with its secret."""
    return await kit.grants.client_credentials(name, secret, None, PHONE)
