"""Build the identity objects, and keep them fresh while the server runs.

Part of the composition in ``runtime.py``; commands on accounts open only this part.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from auth.administration import Administration
from auth.authenticator import Authenticator
from auth.credentials import Credentials
from auth.grants import Grants
from auth.issuers import TrustedIssuers
from auth.keys import KeySet, UnsafeKey
from auth.limiting.limits import RateLimiter
from auth.limiting.lockout import Lockout, LockoutPolicy
from auth.signing.key_folder import KeyFolder
from auth.signing.tokens import TokenSigner
from auth.signing.verifier import Verifier
from auth.store.accounts import AccountStore
from auth.store.copies import MigrationCopies
from auth.store.database import BadDatabaseUrl, Database, database_url, open_database
from auth.store.revocations import Revocations
from auth.store.sessions import Policy, SessionStore
from observability.logs.audit import Audit, AuditEvent, AuditSink
from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from observability.metrics.store_watch import StoreWatch
from schemas.errors import NotReady
from service.coordination.finishing import finish
from service.settings import Settings, SettingsError

STORE_FILE = "potoo.db"
KEYS_FOLDER = "keys"
COPIES_FOLDER = "backups"
"""Folder of copies of the embedded store, made before its tables are changed."""
KEYS_SECONDS = 5.0
"""Interval of checks of the key folder."""
PRUNE_SECONDS = 3600.0
LONGEST_TOKEN_SECONDS = 24 * 3600
"""Maximum lifetime of tokens of ``potoo token``, and of access tokens."""


@dataclass(slots=True)
class Identity:
    """Identity objects of routes and command line. ``keys`` is replaced when keys change."""

    database: Database
    accounts: AccountStore
    sessions: SessionStore
    authenticator: Authenticator
    grants: Grants
    administration: Administration
    limiter: RateLimiter
    audit: Audit
    revocations: Revocations
    issuers: TrustedIssuers
    lockout: Lockout
    signer: TokenSigner
    verifier: Verifier
    key_folder: KeyFolder
    keys: KeySet

    def use(self, keys: KeySet) -> None:
        """Replace the keys for signing and verifying."""
        self.keys = keys
        self.signer.use(keys)
        self.verifier.use(keys)
        self.authenticator.forget()

    @property
    def is_ready(self) -> bool:
        """Whether the store answered recently."""
        try:
            self.revocations.require_fresh()
        except NotReady:
            return False
        return True


def store_url(settings: Settings) -> URL:
    """Return the URL of the database of accounts and sessions.

    Raises:
        SettingsError: if ``database_url`` is malformed or not supported.
    """
    given = settings.database_url
    try:
        return database_url(given.get_secret_value() if given else None, _file(settings))
    except BadDatabaseUrl as error:
        raise SettingsError(f"database_url: {error}") from error


def _file(settings: Settings) -> Path:
    return settings.data_dir / STORE_FILE


def key_folder(settings: Settings) -> KeyFolder:
    """Return the folder of the signing keys."""
    return KeyFolder(settings.data_dir / KEYS_FOLDER, settings.auth)


@asynccontextmanager
async def open_identity(
    settings: Settings, metrics: Metrics, sink: AuditSink | None = None
) -> AsyncIterator[Identity]:
    """Open the store and load the keys; ``keep_fresh`` updates them.

    Args:
        sink: of the security log; None for the logger ``audit``.

    Raises:
        UnsafeKey, SettingsError: with a message for the operator.
        NotReady: if the store does not answer.
    """
    auth = settings.auth
    async with AsyncExitStack() as stack:
        folder = key_folder(settings)
        keys = folder.load()
        copies = MigrationCopies(settings.data_dir / COPIES_FOLDER, settings.migration_copies)
        database = await stack.enter_async_context(open_database(store_url(settings), copies))
        audit = Audit(metrics, sink)
        accounts = AccountStore(database)

        def forget() -> None:
            authenticator.forget()

        revocations = Revocations(
            database,
            longest_life=LONGEST_TOKEN_SECONDS + auth.clock_skew_seconds,
            max_age=auth.store_outage_seconds,
            on_change=forget,
        )
        sessions = SessionStore(
            database,
            revocations,
            Policy(
                lifetime=auth.refresh_token_days * 86_400,
                grace=auth.refresh_grace_seconds,
                per_account=auth.sessions_per_account,
            ),
        )
        lockout = Lockout(database, LockoutPolicy(auth.failures_free, auth.longest_wait_seconds))
        credentials = Credentials(accounts, lockout, audit, max_waiting=auth.sign_ins_waiting)
        stack.callback(credentials.close)

        issuers = TrustedIssuers(
            auth.issuers,
            on_change=forget,
            on_look=lambda name, is_up: metrics.issuer_up.labels(name).set(is_up),
        )
        signer, verifier = TokenSigner(keys, auth), Verifier(keys, issuers, auth)
        authenticator = Authenticator(
            verifier, revocations, issuers, cache_size=auth.token_cache_size
        )
        grants = Grants(accounts, sessions, credentials, revocations, signer, verifier, auth, audit)
        limiter = RateLimiter(
            auth,
            StoreWatch(
                metrics,
                "rates",
                fails="rate limits are not counted",
                works="rate limits are counted again",
            ),
        )
        stack.push_async_callback(limiter.close)
        await revocations.refresh()
        yield Identity(
            database=database,
            accounts=accounts,
            sessions=sessions,
            authenticator=authenticator,
            grants=grants,
            administration=Administration(accounts, credentials, grants, audit),
            limiter=limiter,
            audit=audit,
            revocations=revocations,
            issuers=issuers,
            lockout=lockout,
            signer=signer,
            verifier=verifier,
            key_folder=folder,
            keys=keys,
        )


@asynccontextmanager
async def keep_fresh(
    identity: Identity, settings: Settings, metrics: Metrics
) -> AsyncIterator[None]:
    """Poll revocations and keys, and prune expired rows, until the ``with`` block ends.

    Failures of the database are counted and logged from now on; a command shows them instead.
    """
    identity.database.reading = StoreWatch(
        metrics, "accounts", fails="store does not answer", works="store answers"
    )
    identity.database.writing = StoreWatch(
        metrics, "accounts", fails="store cannot be written", works="store can be written again"
    )
    async with identity.issuers.running():
        tasks = [
            asyncio.create_task(_poll_store(identity, settings.auth.store_poll_seconds)),
            asyncio.create_task(_watch_keys(identity)),
            asyncio.create_task(_prune(identity)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _poll_store(identity: Identity, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        with contextlib.suppress(NotReady):  # the database logs it
            await finish(identity.revocations.refresh())


async def _watch_keys(identity: Identity) -> None:
    log = get_logger("auth")
    while True:
        await asyncio.sleep(KEYS_SECONDS)
        try:
            keys = identity.key_folder.load()
        except (UnsafeKey, OSError) as error:
            log.error("cannot read keys; using those already loaded", reason=str(error))  # noqa: TRY400
            continue
        old = identity.keys
        if keys.by_kid.keys() != old.by_kid.keys() or keys.signing.kid != old.signing.kid:
            identity.use(keys)
            identity.audit.record(
                AuditEvent.KEYS_CHANGED, signing=keys.signing.kid, verifying=list(keys.by_kid)
            )


async def _prune(identity: Identity) -> None:
    while True:
        with contextlib.suppress(NotReady):
            await finish(identity.sessions.prune())
            await finish(identity.revocations.prune())
            await finish(identity.lockout.prune())
        await asyncio.sleep(PRUNE_SECONDS)
