"""``potoo users``."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.accounts import (
    ModelOption,
    NameArgument,
    ScopeOption,
    chosen_scopes,
    list_accounts,
    read_password,
    remove_account,
    with_identity,
)
from service.cli.shared_options import ConfigOption, DataDirOption, acting_user, plain_errors

app = typer.Typer(help="Add, list, change and remove people.", no_args_is_help=True)
PasswordOption = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input instead of asking."
    ),
]


@app.command()
def add(
    name: NameArgument,
    scope: ScopeOption = None,
    model: ModelOption = None,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a person.

    Scopes: classify, infer, stream, models:read, models:write, jobs, train, metrics, admin.
    """
    with plain_errors():
        from auth.administration import NewAccount
        from service.settings import load_settings

        settings = load_settings(config, data_dir=data_dir)
        new = NewAccount(name, chosen_scopes(scope), None if model is None else frozenset(model))
        password = read_password(stdin=password_stdin)
        with_identity(
            settings,
            lambda identity: identity.administration.add_person(new, password, by=acting_user()),
            must_exist=False,
        )
        typer.echo(f"added {name}: {' '.join(sorted(new.scopes))}")


@app.command("list")
def list_people(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List the people: name, scopes, state, when the account was made."""
    with plain_errors():
        from auth.accounts import Kind
        from service.settings import load_settings

        list_accounts(load_settings(config, data_dir=data_dir), Kind.PERSON)


@app.command()
def password(
    name: NameArgument,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Set another password. Every device of the person is signed out."""
    with plain_errors():
        from service.settings import load_settings

        settings = load_settings(config, data_dir=data_dir)
        new = read_password(stdin=password_stdin)
        with_identity(
            settings,
            lambda identity: identity.administration.set_password(name, new, by=acting_user()),
        )
        typer.echo(f"changed the password of {name}; every device is signed out")


@app.command()
def disable(
    name: NameArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Let the person sign in again.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Keep a person from signing in. Sessions and tokens die; the account stays."""
    with plain_errors():
        from auth.accounts import Kind
        from service.settings import load_settings

        settings = load_settings(config, data_dir=data_dir)
        with_identity(
            settings,
            lambda identity: identity.administration.change(
                name, Kind.PERSON, is_disabled=not undo, by=acting_user()
            ),
        )
        typer.echo(f"{name} may sign in again" if undo else f"disabled {name}")


@app.command()
def remove(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Remove a person. Sessions and tokens die."""
    with plain_errors():
        from auth.accounts import Kind
        from service.settings import load_settings

        remove_account(load_settings(config, data_dir=data_dir), name, Kind.PERSON)
