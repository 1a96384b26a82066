"""The command ``potoo`` without its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from service import __version__


def new_app() -> typer.Typer:
    """Return the command, to which subcommands are added."""
    app = typer.Typer(
        help="Potoo classifies images over the network: HTTP, gRPC, ONNX.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(options)
    return app


def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Potoo classifies images over the network: HTTP, gRPC, ONNX."""
    if version:
        typer.echo(f"potoo {__version__}")
        raise typer.Exit
