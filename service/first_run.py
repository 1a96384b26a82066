"""What a data folder needs before the first request: keys, tables, an account."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from auth.keys import load_keys
from auth.passwords import hash_password, make_password
from auth.principal import ALL_SCOPES
from auth.store import AccountExists, open_store, sqlite_url
from auth.tokens import TokenCodec
from schemas.errors import NotReady
from service.runtime import KEYS_FOLDER, STORE_FILE
from service.settings import Settings, SettingsError

FIRST_ACCOUNT = "admin"


@dataclass(frozen=True, slots=True)
class Welcome:
    """What to tell the operator. ``password`` only if we made it; ``token`` on a first run."""

    name: str = FIRST_ACCOUNT
    password: str | None = None
    token: str | None = None
    token_minutes: int = 0


def prepare(settings: Settings) -> Welcome:
    """Makes the signing key, the tables and, if there is no account at all, the first one.

    Raises:
        SettingsError, UnsafeKey, OSError: if the data folder cannot be used.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = load_keys(settings.data_dir / KEYS_FOLDER)
    given = settings.admin_password
    password = given.get_secret_value() if given else make_password()
    try:
        is_first = asyncio.run(_add_first_account(settings, password))
    except NotReady as error:
        raise SettingsError(
            f"cannot use the accounts in {settings.data_dir / STORE_FILE}: {error.__cause__}"
        ) from error
    if not is_first:
        return Welcome()
    seconds = settings.auth.access_token_seconds
    token = TokenCodec(keys, settings.auth).issue(FIRST_ACCOUNT, ALL_SCOPES, seconds)
    return Welcome(password=None if given else password, token=token, token_minutes=seconds // 60)


async def _add_first_account(settings: Settings, password: str) -> bool:
    async with open_store(sqlite_url(settings.data_dir / STORE_FILE)) as store:
        if await store.list():
            return False
        try:
            await store.add(FIRST_ACCOUNT, hash_password(password), ALL_SCOPES)
        except AccountExists:  # another process started at the same moment
            return False
        return True
