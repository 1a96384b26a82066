"""``potoo sensors``: sensors whose samples the server classifies."""

from __future__ import annotations

import typer

from service.cli.sensors import changing, events, listing, simulate

app = typer.Typer(
    help="Add, list, change, remove and simulate sensors. A running server follows within seconds.",
    no_args_is_help=True,
)

app.command("add")(changing.add)
app.command("list")(listing.list_sensors)
app.command("show")(listing.show)
app.command("change")(changing.change)
app.command("pause")(changing.pause)
app.command("resume")(changing.resume)
app.command("remove")(changing.remove)
app.command("events")(events.events)
app.command("simulate")(simulate.simulate)
