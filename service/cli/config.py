"""``potoo config``."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.shared_options import ConfigOption, plain_errors


def config(
    config: ConfigOption = None,
    env: Annotated[
        bool, typer.Option("--env", help="Show the environment variables' names instead.")
    ] = False,
) -> None:
    """Show the effective settings as TOML, secrets masked.

    Precedence, highest first: command line, POTOO_... in the environment, --config file, default.
    """
    with plain_errors():
        from pydantic import SecretStr

        from service.settings import describe_settings, load_settings

        settings = load_settings(config)
        table = ""
        for name, variable, value, description in describe_settings(settings):
            group, _, field = name.rpartition(".")
            if group != table and not env:
                typer.echo(f"\n[{group}]")
                table = group
            shown = _toml(value)
            line = f"{variable}={shown}" if env else f"{field} = {shown}"
            if value is None and not env:
                line = f"# {field} is not set"
            if isinstance(value, SecretStr):
                line = f"# {variable if env else field} is set"
            typer.echo(f"{line:<45} # {description}")


def _toml(value: object) -> str:
    """Values of the types that settings have."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
