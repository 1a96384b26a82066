"""``potoo users``."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.identity.accounts import (
    ModelOption,
    NameArgument,
    ScopeOption,
    WeightOption,
    add_change_command,
    chosen_scopes,
    list_accounts,
    read_password,
    remove_account,
    with_identity,
)
from service.cli.shared.options import ConfigOption, DataDirOption, acting_user, plain_errors

app = typer.Typer(help="Add, list, change and remove users.", no_args_is_help=True)
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
    weight: WeightOption = 1,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a user.

    Scopes: classify, infer, models:read, models:write, stream, cameras, sensors, ingest,
    preprocess, teach, train, metrics, admin.
    """
    with plain_errors():
        from auth.administration import NewAccount
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        models = None if model is None else frozenset(model)
        new = NewAccount(name, chosen_scopes(scope), models, weight=weight)
        password = read_password(stdin=password_stdin)
        with_identity(
            settings,
            lambda identity: identity.administration.add_person(new, password, by=acting_user()),
            must_exist=False,
        )
        typer.echo(f"added {name}: {' '.join(sorted(new.scopes))}")


@app.command("list")
def list_people(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List users: name, scopes, state, creation time, weight."""
    with plain_errors():
        from auth.store.accounts import Kind
        from service.cli.shared.service_settings import account_settings

        list_accounts(account_settings(config, data_dir), Kind.PERSON)


add_change_command(app, "user", is_person=True)


@app.command()
def password(
    name: NameArgument,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Change a user's password and sign out all of the user's devices."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        new = read_password(stdin=password_stdin)
        with_identity(
            settings,
            lambda identity: identity.administration.set_password(name, new, by=acting_user()),
        )
        typer.echo(f"changed the password of {name}; all devices are signed out")


@app.command()
def disable(
    name: NameArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Enable the account again.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Disable a user's account and revoke its sessions and tokens."""
    with plain_errors():
        from auth.store.accounts import Kind
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        with_identity(
            settings,
            lambda identity: identity.administration.change(
                name, Kind.PERSON, is_disabled=not undo, by=acting_user()
            ),
        )
        typer.echo(f"enabled {name}" if undo else f"disabled {name}")


@app.command()
def remove(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Remove a user and revoke the user's sessions and tokens."""
    with plain_errors():
        from auth.store.accounts import Kind
        from service.cli.shared.service_settings import account_settings

        remove_account(account_settings(config, data_dir), name, Kind.PERSON)
