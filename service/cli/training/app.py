"""``potoo sites``: training a model with other sites, which keep their photos too."""

from __future__ import annotations

import typer

from service.cli.training import sums

app = typer.Typer(
    help="Train a model with other sites: photos stay, sums are sent.", no_args_is_help=True
)


@app.callback()
def sites() -> None:
    """Keep the group a group, though it has one command."""


app.command("sums")(sums.sums)
