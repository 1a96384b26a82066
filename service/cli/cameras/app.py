"""``potoo cameras``: cameras that the server watches."""

from __future__ import annotations

import typer

from service.cli.cameras import changing, events, listing, trying

app = typer.Typer(
    help="Add, list, test, change and remove cameras. A running server follows within seconds.",
    no_args_is_help=True,
)

app.command("add")(changing.add)
app.command("list")(listing.list_cameras)
app.command("show")(listing.show)
app.command("test")(trying.try_camera)
app.command("change")(changing.change)
app.command("pause")(changing.pause)
app.command("resume")(changing.resume)
app.command("remove")(changing.remove)
app.command("events")(events.events)
