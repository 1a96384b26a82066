"""Formats numbers with Grafana's units, for the pictures."""

from __future__ import annotations

from tools.grafana.panels import Unit

_STEPS = {
    Unit.BYTES: ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    Unit.BYTES_PER_SECOND: ((1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")),
    Unit.SECONDS: ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
}


def shown(value: float, unit: Unit, decimals: int | None) -> str:
    """Format a value with three significant digits, or with ``decimals`` decimal places."""
    if unit is Unit.SHARE:
        return f"{_digits(100 * value, decimals)}%"
    for size, name in _STEPS.get(unit, ()):
        if abs(value) >= size:
            return f"{_digits(value / size, decimals)} {name}"
    ends = {Unit.PER_SECOND: "/s", Unit.DAYS: " d"}
    return _digits(value, decimals) + ends.get(unit, "")


def _digits(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
