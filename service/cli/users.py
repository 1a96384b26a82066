"""``potoo users``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.cli.shared_options import ConfigOption, DataDirOption, fail, plain_errors

if TYPE_CHECKING:
    from auth.store import AccountStore
    from service.settings import Settings

app = typer.Typer(
    help="Add and list the people and devices that may sign in.", no_args_is_help=True
)

DEFAULT_SCOPES = ("classify", "models:read")
Result = TypeVar("Result")
NameArgument = Annotated[str, typer.Argument(help="Name to sign in with.", metavar="NAME")]
PasswordOption = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input instead of asking."
    ),
]


@app.command()
def add(
    name: NameArgument,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What the account may do; repeat for more.", show_default="classify models:read"
        ),
    ] = None,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add an account. Scopes: classify, models:read, admin."""
    with plain_errors():
        from auth.passwords import hash_password
        from auth.principal import parse_scopes
        from auth.store import MAX_NAME_CHARS, AccountExists
        from service.settings import load_settings

        settings = load_settings(config, data_dir=data_dir)
        if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
            fail(f"a name has 1 to {MAX_NAME_CHARS} printable characters")
        try:
            scopes = parse_scopes(" ".join(scope or DEFAULT_SCOPES))
        except ValueError as error:
            fail(f"{error}; there are classify, models:read and admin")
        hashed = hash_password(read_password(stdin=password_stdin))
        try:
            with_store(settings, lambda store: store.add(name, hashed, scopes), must_exist=False)
        except AccountExists:
            fail(f"there is an account '{name}' already")
        typer.echo(f"added {name}: {' '.join(sorted(scopes))}")


@app.command("list")
def list_accounts(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List the accounts: name, scopes, when it was made."""
    with plain_errors():
        from auth.principal import format_scopes
        from service.settings import load_settings

        for account in with_store(
            load_settings(config, data_dir=data_dir), lambda store: store.list()
        ):
            state = "disabled" if account.is_disabled else "active"
            made = account.created.isoformat(timespec="seconds")
            typer.echo(f"{account.name}\t{format_scopes(account.scopes)}\t{state}\t{made}")


@app.command()
def password(
    name: NameArgument,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Set another password. Tokens that were issued stay good until they expire."""
    with plain_errors():
        from auth.passwords import hash_password
        from service.settings import load_settings

        settings = load_settings(config, data_dir=data_dir)
        hashed = hash_password(read_password(stdin=password_stdin))
        if not with_store(settings, lambda store: store.set_password(name, hashed)):
            fail(f"there is no account '{name}'")
        typer.echo(f"changed the password of {name}")


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


def with_store(
    settings: Settings,
    use: Callable[[AccountStore], Awaitable[Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Opens the account store for one call; exits with a message if there is none."""
    from auth.store import open_store, sqlite_url
    from service.runtime import STORE_FILE

    if must_exist and not (settings.data_dir / STORE_FILE).exists():
        fail(f"there are no accounts in {settings.data_dir} (see --data-dir)")

    async def call() -> Result:
        async with open_store(sqlite_url(settings.data_dir / STORE_FILE)) as store:
            return await use(store)

    return asyncio.run(call())
