"""Prepare the data folder before the first request: keys, tables, an account, models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auth.administration import NewAccount
from auth.passwords import make_password
from auth.principal import ALL_SCOPES, Scope
from auth.store.accounts import Kind
from auth.store.database import reason
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import Conflict, NotReady
from service.core.lifecycle.model_control import Publisher
from service.modeltools.sources.built_in import is_seeded, seed
from service.runtime.identity import open_identity
from service.runtime.runtime import model_loader, open_pool
from service.settings import Settings, SettingsError, own_models

FIRST_ACCOUNT = "admin"
FIRST_RUN = "first run"
"""The acting account, in the security log."""
PAGE_SCOPES = frozenset(
    {
        Scope.CLASSIFY,
        Scope.MODELS_READ,
        Scope.MODELS_WRITE,
        Scope.STREAM,
        Scope.CAMERAS,
        Scope.SENSORS,
        Scope.PREPROCESS,
        Scope.TEACH,
    }
)
"""Scopes of the web page's sessions, as in ``web/calls/api.js``."""
LINK_MINUTES = 15


@dataclass(frozen=True, slots=True)
class BootstrapResult:
    """First-run message. ``password`` only if it was generated."""

    name: str = FIRST_ACCOUNT
    password: str | None = None


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A link that signs in on the web page once: its code, and the account it is for."""

    name: str
    code: str


def prepare(settings: Settings) -> BootstrapResult:
    """Create the signing key, the tables and, if there is no account, the first one.

    Raises:
        SettingsError, UnsafeKey: if the data folder or the store cannot be used.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return asyncio.run(_prepare(settings))
    except NotReady as error:
        message = f"cannot use the accounts in {_store(settings)}: {reason(error)}"
        raise SettingsError(message) from error
    except OSError as error:
        raise _unusable(settings, error) from error


async def _prepare(settings: Settings) -> BootstrapResult:
    given = settings.admin_password
    password = given.get_secret_value() if given else make_password()
    async with open_identity(settings, Metrics()) as identity:
        if await identity.accounts.all():
            return BootstrapResult()
        new = NewAccount(FIRST_ACCOUNT, ALL_SCOPES)
        try:
            await identity.administration.add_person(new, password, by=FIRST_RUN)
        except Conflict:  # another process started at the same moment
            return BootstrapResult()
    return BootstrapResult(password=None if given else password)


def make_link(settings: Settings) -> SignInLink | None:
    """Return a link for an administrator, or else for any person; None if there is none.

    It is only for the page, with the scopes that the page requests at sign-in.

    Raises:
        SettingsError: the store cannot be used.
    """
    try:
        return asyncio.run(_make_link(settings))
    except NotReady as error:
        message = f"cannot use the accounts in {_store(settings)}: {reason(error)}"
        raise SettingsError(message) from error


async def _make_link(settings: Settings) -> SignInLink | None:
    async with open_identity(settings, Metrics()) as identity:
        people = await identity.accounts.all(Kind.PERSON)
        able = [one for one in people if not one.is_disabled and Scope.CLASSIFY in one.scopes]
        # The first account first, else an administrator, else in order of their names.
        able.sort(key=lambda one: (one.name != FIRST_ACCOUNT, Scope.ADMIN not in one.scopes))
        if not able:
            return None
        code = await identity.grants.make_link(able[0], PAGE_SCOPES, LINK_MINUTES * 60)
        return SignInLink(able[0].name, code)


def prepare_models(settings: Settings, tell: Callable[[str], None], audit: Audit) -> None:
    """Add the built-in models to the data folder's own repository, once each.

    A repository elsewhere belongs to the operator and is not changed.

    Args:
        tell: called with lines for the operator: progress, or why a model cannot be built.
        audit: receives the models that are added.

    Raises:
        SettingsError: the folder cannot be written.
    """
    if settings.models != own_models({"data_dir": settings.data_dir}):
        return
    if is_seeded(settings.models):
        return

    def check(folder: Path) -> None:
        with open_pool(settings) as pool:
            model_loader(settings, pool, Metrics())(folder).release()

    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed(settings.models, check, tell, Publisher(audit, FIRST_RUN))
    except OSError as error:
        raise _unusable(settings, error) from error


def _store(settings: Settings) -> str:
    """Describe the account store for a message, without its password."""
    if settings.database_url:
        return "the database of database_url"
    return f"data_dir {settings.data_dir}"


def _unusable(settings: Settings, error: OSError) -> SettingsError:
    place = error.filename or settings.data_dir
    return SettingsError(f"data_dir: cannot use {place}: {error.strerror}")
