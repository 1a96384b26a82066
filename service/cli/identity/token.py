"""``potoo token``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, fail, plain_errors

if TYPE_CHECKING:
    from service.runtime.identity import Identity

MAX_SECONDS = 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600}


def token(
    user: Annotated[str, typer.Option(help="Account that the token represents.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Scope of the token; repeatable.", show_default="all scopes of the account"
        ),
    ] = None,
    ttl: Annotated[str, typer.Option(help="Lifetime: 90s, 15m or 8h; at most 24h.")] = "15m",
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Print an access token for scripts.

    It is signed with the server's keys; the server need not be running.
    """
    with plain_errors():
        from service.cli.identity.accounts import chosen_scopes, with_identity
        from service.cli.shared.service_settings import account_settings

        seconds = parse_duration(ttl)
        scopes = chosen_scopes(scope) if scope else None

        async def issue(identity: Identity) -> str:
            account = await identity.accounts.get(user)
            if account is None or account.is_disabled:
                fail(f"there is no active account '{user}'")
            granted = account.scopes if scopes is None else scopes
            if missing := granted - account.scopes:
                fail(f"{user} does not have the scope {min(missing)}")
            return identity.signer.issue(
                user, granted, seconds, models=account.models, weight=account.weight
            )

        typer.echo(with_identity(account_settings(config, data_dir), issue))


def parse_duration(text: str) -> int:
    """Parse ``90s``, ``15m`` or ``8h`` into seconds; exit with a message if it is invalid."""
    match = re.fullmatch(r"(\d{1,6})([smh])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= MAX_SECONDS:
        fail("--ttl takes a number with the unit s, m or h: from 1s to 24h")
    return seconds
