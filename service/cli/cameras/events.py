"""``potoo cameras events``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.cameras.options import NameArgument, with_cameras
from service.cli.event_lines import print_events
from service.cli.shared_options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from service.cameras.commands import CameraCommands


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
    async def check() -> None:
        await cameras.administration.get(name)  # raises NotFound once the camera is removed

    await print_events(cameras.events, name, limit, check, follow=follow)
