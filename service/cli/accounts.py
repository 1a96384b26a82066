"""What ``potoo users``, ``clients``, ``token`` and ``keys`` have in common."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.cli.shared_options import acting_user, fail

if TYPE_CHECKING:
    from auth.accounts import Kind
    from auth.principal import Scope
    from service.identity import Identity
    from service.settings import Settings

Result = TypeVar("Result")
NameArgument = Annotated[str, typer.Argument(help="Name to sign in with.", metavar="NAME")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What the account may do; repeat for more.", show_default="classify models:read"
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Model it may use; repeat for more.", show_default="all"),
]


def with_identity(
    settings: Settings,
    use: Callable[[Identity], Awaitable[Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Opens the store and the keys for one call; exits with a message if there is no store."""
    from observability.logging import configure_logging
    from observability.metrics import Metrics
    from service.identity import STORE_FILE, open_identity

    is_embedded = settings.database_url is None
    if must_exist and is_embedded and not (settings.data_dir / STORE_FILE).exists():
        fail(f"there are no accounts in {settings.data_dir} (see --data-dir)")
    # The server's log is not ours; what goes wrong is said in a line.
    configure_logging(settings.observability.model_copy(update={"log_level": "error"}))

    async def call() -> Result:
        async with open_identity(settings, Metrics()) as identity:
            return await use(identity)

    return asyncio.run(call())


def list_accounts(settings: Settings, kind: Kind) -> None:
    """Prints a line for each account of the kind."""
    from auth.principal import format_scopes

    for account in with_identity(settings, lambda identity: identity.administration.all(kind)):
        state = "disabled" if account.is_disabled else "active"
        made = datetime.fromtimestamp(account.created, UTC).isoformat(timespec="seconds")
        typer.echo(f"{account.name}\t{format_scopes(account.scopes)}\t{state}\t{made}")


def remove_account(settings: Settings, name: str, kind: Kind) -> None:
    """Removes one, or exits with a message."""
    with_identity(
        settings, lambda identity: identity.administration.remove(name, kind, by=acting_user())
    )
    typer.echo(f"removed {name}")


def chosen_scopes(names: list[str] | None) -> frozenset[Scope]:
    """The scopes of those names, or those of a new account; exits with a message otherwise."""
    from auth.principal import DEFAULT_SCOPES, Scope, parse_scopes

    try:
        return parse_scopes(" ".join(names)) if names else DEFAULT_SCOPES
    except ValueError as error:
        fail(f"{error}; there are {', '.join(sorted(Scope))}")


def read_password(*, stdin: bool) -> str:
    """From standard input (one line) or from the terminal, twice."""
    from auth.passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS

    if stdin:
        try:
            password = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            fail("the password is not UTF-8 text")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        fail(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    return password
