"""``potoo sensors add``, ``change``, ``pause``, ``resume`` and ``remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from service.cli.sensors.options import (
    AgreeOption,
    ChannelsOption,
    GapOption,
    GapSamplesOption,
    LateOption,
    ModelOption,
    NameArgument,
    NewChannelsOption,
    NewModelOption,
    NewRateOption,
    RateOption,
    SilentOption,
    StrideOption,
    WindowOption,
    spec_values,
    with_sensors,
)
from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
)
from service.cli.shared.spec_options import (
    EnterOption,
    LeaveOption,
    checked,
    remove_named,
    set_paused,
)

if TYPE_CHECKING:
    from service.sensors.commands import SensorCommands


def add(
    name: NameArgument,
    channels: ChannelsOption,
    rate: RateOption,
    model: ModelOption,
    window: WindowOption = None,
    stride: StrideOption = None,
    gap: GapOption = None,
    gap_samples: GapSamplesOption = None,
    late_after: LateOption = None,
    agree: AgreeOption = None,
    enter_score: EnterOption = None,
    leave_score: LeaveOption = None,
    silent_after: SilentOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a sensor, which sends float32 numbers.

    Example: potoo sensors add pump-3 --channels 1 --rate 48000 --model bearings
    """
    with plain_errors():
        from schemas.sensors import NewSensor
        from service.cli.shared.service_settings import account_settings

        values = spec_values(
            channels=channels,
            rate=rate,
            model=model,
            window=window,
            stride=stride,
            gap=gap,
            gap_samples=gap_samples,
            late_after=late_after,
            agree=agree,
            enter_score=enter_score,
            leave_score=leave_score,
            silent_after=silent_after,
        )
        new = checked(NewSensor, {**values, "name": name})
        with_sensors(
            account_settings(config, data_dir),
            lambda sensors: sensors.administration.add(new, by=acting_user()),
            must_exist=False,
        )
        typer.echo(f"added {name}: {channels} channels at {rate:g} Hz for the model {model}")


def change(
    name: NameArgument,
    channels: NewChannelsOption = None,
    rate: NewRateOption = None,
    model: NewModelOption = None,
    window: WindowOption = None,
    stride: StrideOption = None,
    gap: GapOption = None,
    gap_samples: GapSamplesOption = None,
    late_after: LateOption = None,
    agree: AgreeOption = None,
    enter_score: EnterOption = None,
    leave_score: LeaveOption = None,
    silent_after: SilentOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Change what is given of a sensor's configuration; the rest stays as it is.

    A device that sends is disconnected, and comes back.
    """
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        values = spec_values(
            channels=channels,
            rate=rate,
            model=model,
            window=window,
            stride=stride,
            gap=gap,
            gap_samples=gap_samples,
            late_after=late_after,
            agree=agree,
            enter_score=enter_score,
            leave_score=leave_score,
            silent_after=silent_after,
        )
        if not values:
            fail("nothing to change: give an option")
        with_sensors(
            account_settings(config, data_dir), lambda sensors: _change(sensors, name, values)
        )
        typer.echo(f"changed {name}")


async def _change(sensors: SensorCommands, name: str, values: dict[str, Any]) -> None:
    from schemas.sensors import SensorSpec

    stored = await sensors.administration.get(name)
    spec = checked(SensorSpec, {**stored.spec.model_dump(), **values})
    await sensors.administration.change(name, spec, by=acting_user())


def pause(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Take no samples of a sensor; its state stays."""
    set_paused(with_sensors, name, config, data_dir, is_paused=True)


def resume(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Take samples of a paused sensor again."""
    set_paused(with_sensors, name, config, data_dir, is_paused=False)


def remove(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Remove a sensor, its results and its events."""
    remove_named(with_sensors, name, config, data_dir)
