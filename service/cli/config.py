"""``potoo config``."""

from __future__ import annotations

import json
import re
import shlex
from typing import Annotated

import typer

from service.cli.shared.options import ConfigOption, plain_errors


def config(
    config: ConfigOption = None,
    env: Annotated[
        bool, typer.Option("--env", help="Print environment variables instead of TOML.")
    ] = False,
) -> None:
    """Show the effective settings as TOML, secrets masked.

    Precedence, highest first: command line, POTOO_... in the environment, files in
    POTOO_SECRETS_DIR, --config file, default.
    """
    with plain_errors():
        from pydantic import SecretStr, TypeAdapter

        from service.settings import describe_settings, load_settings

        settings = load_settings(config)
        table = ""
        for name, variable, value, description in describe_settings(settings):
            group, _, field = name.rpartition(".")
            if group != table and not env:
                typer.echo(f"\n[{group}]")
                table = group
            # Inside a table, members that are not set keep the values of other sources.
            plain = TypeAdapter(object).dump_python(value, exclude_none=True, exclude_unset=True)
            line = f"{variable}={_variable(plain)}" if env else f"{field} = {_toml(plain)}"
            if value is None and not env:
                line = f"# {field} is not set"
            if any(isinstance(one, SecretStr) for one in _members(value)):
                line = f"# {variable if env else field} is set"
            typer.echo(f"{line:<45} # {description}")


def _members(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _toml(value: object) -> str:
    """Format a setting's value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        members = (f"{_key(name)} = {_toml(inner)}" for name, inner in value.items())
        return f"{{ {', '.join(members)} }}" if value else "{}"
    # JSON's escapes are valid in TOML, which also requires DEL to be escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _variable(value: object) -> str:
    """Format a value for an environment file: text is quoted, lists and tables are JSON."""
    if value is None:
        return ""
    if isinstance(value, tuple | dict):
        return shlex.quote(json.dumps(value, default=str))
    return _toml(value)
