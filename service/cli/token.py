"""``potoo token``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared_options import ConfigOption, DataDirOption, fail, plain_errors

if TYPE_CHECKING:
    from service.identity import Identity

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

    It is signed with the server's keys; the server need not run.
    """
    with plain_errors():
        from service.cli.accounts import chosen_scopes, with_identity
        from service.settings import load_settings

        seconds = parse_duration(ttl)
        scopes = chosen_scopes(scope) if scope else None

        async def issue(identity: Identity) -> str:
            account = await identity.accounts.get(user)
            if account is None or account.is_disabled:
                fail(f"there is no active account '{user}'")
            granted = account.scopes if scopes is None else scopes
            if missing := granted - account.scopes:
                fail(f"{user} does not have the scope {min(missing)}")
            return identity.signer.issue(user, granted, seconds, models=account.models)

        typer.echo(with_identity(load_settings(config, data_dir=data_dir), issue))


def parse_duration(text: str) -> int:
    """``90s``, ``15m`` or ``8h`` in seconds; exits with a message otherwise."""
    match = re.fullmatch(r"(\d{1,6})([smh])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= MAX_SECONDS:
        fail("--ttl is a number and s, m or h: at least 1s, at most 24h")
    return seconds
