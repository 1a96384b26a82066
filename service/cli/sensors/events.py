"""``potoo sensors events``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.event_lines import print_events
from service.cli.sensors.options import NameArgument, with_sensors
from service.cli.shared_options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from service.sensors.commands import SensorCommands


def events(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Number of the newest events.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new events until interrupted.")
    ] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the kept events of a sensor, oldest first: time, kind, state, previous state, score."""
    with plain_errors():
        from service.cli.service_settings import account_settings

        settings = account_settings(config, data_dir)
        with_sensors(settings, lambda sensors: _print(sensors, name, limit, follow=follow))


async def _print(sensors: SensorCommands, name: str, limit: int, *, follow: bool) -> None:
    async def check() -> None:
        await sensors.administration.get(name)  # raises NotFound once the sensor is removed

    await print_events(sensors.events, name, limit, check, follow=follow)
