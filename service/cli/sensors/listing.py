"""``potoo sensors list`` and ``show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from service.cli.sensors.options import NameArgument, with_sensors
from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from schemas.sensors import Sensor


def list_sensors(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List sensors: name, status, state and since when, shape, model, rate, lag, last fault."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        for sensor in with_sensors(settings, lambda sensors: sensors.directory.list()):
            typer.echo(_line(sensor))


def show(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Print a sensor as JSON, as GET /v1/sensors/NAME returns it."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        sensor = with_sensors(settings, lambda sensors: sensors.get(name))
        typer.echo(sensor.model_dump_json(indent=2))


def _line(sensor: Sensor) -> str:
    since = "" if sensor.since is None else f" since {sensor.since.isoformat(timespec='seconds')}"
    spec = sensor.spec
    parts = [
        sensor.name,
        sensor.status.value,
        f"{sensor.state or '-'}{since}",
        f"{spec.channels} x {spec.rate:g} Hz",
        spec.model,
    ]
    if sensor.measured_rate is not None:
        parts.append(f"{sensor.measured_rate:.4g} Hz measured")
    if sensor.lag_seconds is not None:
        parts.append(f"{sensor.lag_seconds:.3g} s lag")
    if sensor.fault is not None:
        parts.append(sensor.fault.value)
    return "\t".join(parts)
