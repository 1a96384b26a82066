"""``potoo cameras events``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.cameras.options import NameArgument, with_cameras
from service.cli.shared_options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from schemas.cameras import CameraEvent
    from service.cameras.commands import CameraCommands

FOLLOW_SECONDS = 1.0


def events(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of the newest events.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new events until interrupted.")
    ] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the kept events of a camera, oldest first: time, kind, state, previous state, score."""
    with plain_errors():
        from service.cli.service_settings import account_settings

        settings = account_settings(config, data_dir)
        with_cameras(settings, lambda cameras: _print(cameras, name, limit, follow=follow))


async def _print(cameras: CameraCommands, name: str, limit: int, *, follow: bool) -> None:
    await cameras.get(name)
    found = await cameras.events.last(limit, subject=name)
    cursor = 0
    while True:
        for event in found:
            cursor = event.id
            typer.echo(_line(event))
        if not follow:
            return
        await _pause()
        await cameras.get(name)  # raises NotFound once the camera is removed
        found = await cameras.events.after(cursor, limit, subject=name)


async def _pause() -> None:
    await asyncio.sleep(FOLLOW_SECONDS)


def _line(event: CameraEvent) -> str:
    score = "" if event.score is None else f"\t{event.score:.2f}"
    at = event.at.isoformat(timespec="seconds")
    return f"{at}\t{event.kind}\t{event.state or '-'}\t{event.previous or '-'}{score}"
