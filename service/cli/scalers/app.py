"""``potoo scalers``: fitted, versioned scalings of columns of numbers."""

from __future__ import annotations

import typer

from service.cli.scalers import applying, fitting, listing

app = typer.Typer(
    help="Fit scalers to tables of numbers, and apply them. A scaler is a model: 'potoo models' "
    "promotes, rolls back and removes its versions.",
    no_args_is_help=True,
)

app.command("fit")(fitting.fit)
app.command("list")(listing.list_scalers)
app.command("show")(listing.show)
app.command("apply")(applying.apply)
