"""The ``potoo`` command.

``service.cli.app`` has all subcommands. They are imported on its first use: ``service.__main__``
runs a server without them, which saves 1.3 MiB and 40 ms of its start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.cli.commands import app

__all__ = ["app"]


def __getattr__(name: str) -> object:
    if name == "app":
        from service.cli import commands

        return commands.app
    raise AttributeError(name)
