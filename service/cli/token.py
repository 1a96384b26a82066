"""``potoo token``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from service.cli.shared_options import ConfigOption, DataDirOption, fail, plain_errors

MAX_SECONDS = 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600}


def token(
    user: Annotated[str, typer.Option(help="Whom the token stands for; must be an account.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Repeat for more.", show_default="all that the account has"),
    ] = None,
    ttl: Annotated[
        str, typer.Option(help="How long it lives: 90s, 15m or 8h; a day at most.")
    ] = "15m",
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Print an access token for scripts.

    It is signed with the keys in the data folder; the server need not run.
    """
    with plain_errors():
        from auth.keys import load_keys
        from auth.principal import parse_scopes
        from auth.tokens import TokenCodec
        from service.cli.users import with_store
        from service.runtime import KEYS_FOLDER
        from service.settings import load_settings

        seconds = parse_duration(ttl)
        settings = load_settings(config, data_dir=data_dir)
        account = with_store(settings, lambda store: store.get(user))
        if account is None or account.is_disabled:
            fail(f"there is no active account '{user}'")
        try:
            scopes = parse_scopes(" ".join(scope)) if scope else account.scopes
        except ValueError as error:
            fail(f"{error}; there are classify, models:read and admin")
        if missing := scopes - account.scopes:
            fail(f"{user} does not have the scope {min(missing)}")
        keys = load_keys(settings.data_dir / KEYS_FOLDER)
        typer.echo(TokenCodec(keys, settings.auth).issue(user, scopes, seconds))


def parse_duration(text: str) -> int:
    """``90s``, ``15m`` or ``8h`` in seconds; exits with a message otherwise."""
    match = re.fullmatch(r"(\d{1,6})([smh])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= MAX_SECONDS:
        fail("--ttl is a number and s, m or h: at least 1s, at most 24h")
    return seconds
