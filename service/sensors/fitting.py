"""Whether a sensor's samples fit the model that they are for."""

from __future__ import annotations

from schemas.errors import InvalidParameter, Unsupported, Violation
from schemas.manifest.series import SeriesSpec
from schemas.sensors import SensorSpec


def check_fit(spec: SensorSpec, series: SeriesSpec) -> None:
    """Check that windows of a sensor have the shape that its model takes.

    Raises:
        InvalidParameter: the number of channels or the window's length differs.
    """
    faults = []
    if spec.channels != series.channels:
        faults.append(
            Violation("/body/channels", f"The model '{spec.model}' takes {series.channels}")
        )
    if spec.window not in {None, series.length}:
        detail = f"The model '{spec.model}' takes windows of {series.length} samples"
        faults.append(Violation("/body/window", detail))
    if faults:
        raise InvalidParameter(violations=tuple(faults))


def unfit(model: str, reason: Unsupported) -> InvalidParameter:
    """Return the error for a sensor whose model takes no windows, or gives no labels."""
    detail = reason.detail.removesuffix(".").replace("The model", f"The model '{model}'", 1)
    return InvalidParameter(violations=(Violation("/body/model", detail),))
