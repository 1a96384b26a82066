"""``potoo datasets``: labelled photos that models are taught with."""

from __future__ import annotations

import typer

from service.cli.teach.datasets import changing, exporting, importing, listing

app = typer.Typer(
    help="Import, list, label, export and remove photos. A running server sees the changes.",
    no_args_is_help=True,
)

app.command("import")(importing.import_photos)
app.command("list")(listing.list_datasets)
app.command("show")(listing.show)
app.command("photos")(listing.photos)
app.command("label")(changing.label)
app.command("change")(changing.change)
app.command("export")(exporting.export)
app.command("remove")(changing.remove)
