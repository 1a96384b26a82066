"""``potoo clients``."""

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
    remove_account,
    with_identity,
)
from service.cli.shared.options import ConfigOption, DataDirOption, acting_user, plain_errors

app = typer.Typer(
    help="Add, list, change and remove clients: devices and backends that sign in with a secret.",
    no_args_is_help=True,
)


@app.command()
def add(
    name: NameArgument,
    scope: ScopeOption = None,
    model: ModelOption = None,
    weight: WeightOption = 1,
    introspect: Annotated[
        bool, typer.Option("--introspect", help="Allow it to introspect tokens (RFC 7662).")
    ] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a client and print its secret, which cannot be shown again."""
    with plain_errors():
        from auth.administration import NewAccount
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        models = None if model is None else frozenset(model)
        new = NewAccount(name, chosen_scopes(scope), models, introspect, weight)
        _, secret = with_identity(
            settings,
            lambda identity: identity.administration.add_client(new, by=acting_user()),
            must_exist=False,
        )
        typer.echo(secret)


@app.command("list")
def list_clients(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List clients: name, scopes, state, creation time, weight."""
    with plain_errors():
        from auth.store.accounts import Kind
        from service.cli.shared.service_settings import account_settings

        list_accounts(account_settings(config, data_dir), Kind.CLIENT)


add_change_command(app, "client", is_person=False)


@app.command("rotate-secret")
def rotate_secret(
    name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Replace a client's secret and print the new one. Revokes the old one and its tokens."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        secret = with_identity(
            settings, lambda identity: identity.administration.rotate_secret(name, by=acting_user())
        )
        typer.echo(secret)


@app.command()
def remove(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Remove a client and revoke its tokens."""
    with plain_errors():
        from auth.store.accounts import Kind
        from service.cli.shared.service_settings import account_settings

        remove_account(account_settings(config, data_dir), name, Kind.CLIENT)
