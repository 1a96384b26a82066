"""Options of ``potoo sensors``, and what they mean in a configuration."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.cli.shared.spec_options import NONE, given_values, seconds

if TYPE_CHECKING:
    from service.sensors.commands import SensorCommands
    from service.settings import Settings

Result = TypeVar("Result")
_REMOVABLE = ("window", "stride", "late_after_seconds")

NameArgument = Annotated[str, typer.Argument(help="Name of the sensor.", metavar="NAME")]
ChannelsOption = Annotated[int, typer.Option(help="Numbers in each sample.")]
RateOption = Annotated[float, typer.Option(help="Samples a second, such as 48000.")]
ModelOption = Annotated[str, typer.Option(help="Name of a model that takes windows of samples.")]
NewChannelsOption = Annotated[
    int | None, typer.Option("--channels", help="Numbers in each sample.")
]
NewRateOption = Annotated[float | None, typer.Option("--rate", help="Samples a second.")]
NewModelOption = Annotated[str | None, typer.Option("--model", help="Name of the model.")]
WindowOption = Annotated[
    str | None,
    typer.Option(help="Samples in a window; or none.", show_default="what the model takes"),
]
StrideOption = Annotated[
    str | None,
    typer.Option(
        help="Samples between the starts of two windows; or none.", show_default="the window"
    ),
]
GapOption = Annotated[
    str | None,
    typer.Option(
        help="Missing samples: drop the window, hold the last sample, or interpolate.",
        show_default="drop",
    ),
]
GapSamplesOption = Annotated[
    int | None, typer.Option(help="Missing samples that are filled at most.", show_default="0")
]
LateOption = Annotated[
    str | None,
    typer.Option(
        "--late-after",
        help="Drop windows that arrive so much later than their last sample; or none.",
        show_default="none",
    ),
]
AgreeOption = Annotated[
    str | None,
    typer.Option(help="Windows of the last ones that must agree on a state.", show_default="1/1"),
]
SilentOption = Annotated[
    str | None, typer.Option(help="Silent after so long without a sample.", show_default="30s")
]


def spec_values(
    *,
    channels: int | None,
    rate: float | None,
    model: str | None,
    window: str | None,
    stride: str | None,
    gap: str | None,
    gap_samples: int | None,
    late_after: str | None,
    agree: str | None,
    enter_score: float | None,
    leave_score: float | None,
    silent_after: str | None,
) -> dict[str, Any]:
    """Return the given members of a ``SensorSpec``; exit with a message if one is malformed."""
    values = {
        "channels": channels,
        "rate": rate,
        "model": model,
        "window": window,
        "stride": stride,
        "gap": gap,
        "gap_samples": gap_samples,
        "late_after_seconds": late_after and (NONE if late_after == NONE else seconds(late_after)),
        "enter_score": enter_score,
        "leave_score": leave_score,
        "silent_after_seconds": silent_after and seconds(silent_after),
    }
    return given_values(values, agree, _REMOVABLE)


def with_sensors(
    settings: Settings,
    use: Callable[[SensorCommands], Coroutine[Any, Any, Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Open the store, run ``use`` and close it; exit with a message if there is no store."""
    from service.cli.identity.accounts import with_identity
    from service.sensors.commands import sensor_commands

    return with_identity(
        settings,
        lambda identity: use(sensor_commands(settings, identity.database, identity.audit)),
        must_exist=must_exist,
    )
