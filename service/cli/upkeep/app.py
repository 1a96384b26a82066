"""``potoo backup``: ``create`` is meant where no command is named, as in ``potoo backup FILE``."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from service.cli.upkeep import making, showing


class _CreateUnlessNamed(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as Typer's
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["create", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Back up accounts, keys and, by choice, models, data sets and events.",
    no_args_is_help=True,
    cls=_CreateUnlessNamed,
)
app.command("create")(making.create)
app.command("show")(showing.show)
app.command("verify")(showing.verify)
