"""Shared parts of ``potoo users``, ``clients``, ``token`` and ``keys``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.cli.shared.options import (
    AUDIT_FILE,
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
)

if TYPE_CHECKING:
    from auth.principal import Scope
    from auth.store.accounts import Kind
    from service.runtime.identity import Identity
    from service.settings import Settings

Result = TypeVar("Result")
NameArgument = Annotated[str, typer.Argument(help="Name to sign in with.", metavar="NAME")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option(help="Scope of the account; repeatable.", show_default="classify models:read"),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Model that it may use; repeatable.", show_default="all"),
]

WeightOption = Annotated[
    int,
    typer.Option(help="Share of the turns: images a round, 1 to 100, where others get one."),
]
NewScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help="New scopes of the account; repeatable.", show_default="as now"),
]
NewWeightOption = Annotated[
    int | None,
    typer.Option("--weight", help="New weight, 1 to 100; see add.", show_default="as now"),
]


def with_identity(
    settings: Settings,
    use: Callable[[Identity], Awaitable[Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Open the store and the keys, run ``use``, close them; exit with a message without a store.

    Changes are recorded in a file in the data folder.
    """
    from observability.logs.audit import AuditFile
    from observability.logs.logging import configure_logging
    from observability.metrics.metrics import Metrics
    from service.runtime.identity import STORE_FILE, open_identity

    is_embedded = settings.database_url is None
    if must_exist and is_embedded and not (settings.data_dir / STORE_FILE).exists():
        fail(f"there are no accounts in {settings.data_dir} (see --data-dir)")
    # Log only errors: the command reports its outcome itself.
    configure_logging(settings.observability.model_copy(update={"log_level": "error"}))

    sink = AuditFile(settings.data_dir / AUDIT_FILE)

    async def call() -> Result:
        async with open_identity(settings, Metrics(), sink) as identity:
            return await use(identity)

    return asyncio.run(call())


def list_accounts(settings: Settings, kind: Kind) -> None:
    """Print one line per account of the kind."""
    from auth.principal import format_scopes

    for account in with_identity(settings, lambda identity: identity.administration.all(kind)):
        state = "disabled" if account.is_disabled else "active"
        made = datetime.fromtimestamp(account.created, UTC).isoformat(timespec="seconds")
        scopes = format_scopes(account.scopes)
        typer.echo(f"{account.name}\t{scopes}\t{state}\t{made}\tweight {account.weight}")


def add_change_command(app: typer.Typer, noun: str, *, is_person: bool) -> None:
    """Add the command ``change`` for accounts of one kind.

    Args:
        noun: of one such account, for the help.
    """
    description = (
        f"Change the scopes or the weight of a {noun}.\n\n"
        "Losing a scope revokes its tokens. A new weight holds from its next token on."
    )

    @app.command(help=description)
    def change(
        name: NameArgument,
        scope: NewScopeOption = None,
        weight: NewWeightOption = None,
        data_dir: DataDirOption = None,
        config: ConfigOption = None,
    ) -> None:
        with plain_errors():
            from auth.store.accounts import Kind
            from service.cli.shared.service_settings import account_settings

            settings = account_settings(config, data_dir)
            if not scope and weight is None:
                fail("nothing to change: give --scope or --weight")
            scopes = chosen_scopes(scope) if scope else None
            kind = Kind.PERSON if is_person else Kind.CLIENT
            account = with_identity(
                settings,
                lambda identity: identity.administration.change(
                    name, kind, scopes=scopes, weight=weight, by=acting_user()
                ),
            )
            scopes_now = " ".join(sorted(account.scopes))
            typer.echo(f"changed {name}: {scopes_now}, weight {account.weight}")


def remove_account(settings: Settings, name: str, kind: Kind) -> None:
    """Remove an account, or exit with a message."""
    with_identity(
        settings, lambda identity: identity.administration.remove(name, kind, by=acting_user())
    )
    typer.echo(f"removed {name}")


def chosen_scopes(names: list[str] | None) -> frozenset[Scope]:
    """Parse scope names; default: the scopes of a new account. Exit with a message if invalid."""
    from auth.principal import ALL_SCOPES, DEFAULT_SCOPES, parse_scopes

    try:
        return parse_scopes(" ".join(names)) if names else DEFAULT_SCOPES
    except ValueError as error:
        fail(f"{error}; scopes are {', '.join(sorted(ALL_SCOPES))}")


def read_password(*, stdin: bool) -> str:
    """Read a password: one line of standard input, or typed twice in the terminal."""
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
