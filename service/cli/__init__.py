"""The ``potoo`` command. Each subcommand imports its code when it runs, so ``--help`` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from service import __version__
from service.cli import calibrate, certs, classify, clients, config, keys, serve, token, users
from service.cli.cameras.app import app as cameras_app
from service.cli.models.app import app as models_app
from service.cli.sensors.app import app as sensors_app

app = typer.Typer(
    help="Potoo classifies images over the network: HTTP, gRPC, ONNX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Potoo classifies images over the network: HTTP, gRPC, ONNX."""
    if version:
        typer.echo(f"potoo {__version__}")
        raise typer.Exit


app.command("serve")(serve.serve)
app.command("classify")(classify.classify)
app.add_typer(users.app, name="users")
app.add_typer(clients.app, name="clients")
app.add_typer(keys.app, name="keys")
app.command("certs")(certs.certs)
app.command("token")(token.token)
app.add_typer(models_app, name="models")
app.add_typer(cameras_app, name="cameras")
app.add_typer(sensors_app, name="sensors")
app.command("calibrate")(calibrate.calibrate)
app.command("config")(config.config)
