"""``python -m tools.grafana.pictures``: draws the dashboards as images for the docs.

The panels and queries are Grafana's, drawn by matplotlib from two minutes of two real servers,
recorded by a real Prometheus (``rehearsal``).
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tools.grafana import units
from tools.grafana.dashboards import DASHBOARDS
from tools.grafana.panels import (
    COLUMNS,
    Dashboard,
    Kind,
    Panel,
    Place,
    Query,
    Row,
    with_all_chosen,
)
from tools.grafana.rehearsal import Rehearsed, rehearsed

FOLDER = Path(__file__).parents[2] / "docs" / "dashboards"
WIDTH, ROW_HEIGHT, DPI = 15.0, 0.36, 100
"""Width of a picture and height of one row of the grid in inches; dots an inch."""
HEAD = 1.1
"""Rows for the title."""
RATE_INTERVAL = "10s"
MAX_NAMES = 8
INK, FAINT, PAPER, RED = "#2b2b2b", "#d9d9d9", "#ffffff", "#c4162a"
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#7F7F7F", "#8C6D31", "#5254A3", "#000000"),
)
"""Okabe and Ito's colours, distinguishable by colour-blind people, and a few more."""
DASHED = (0, (5, 4))
STEP = 2
"""Seconds between the points of a line."""
LEGEND = {
    "fontsize": 7.5,
    "frameon": False,
    "handlelength": 1.2,
    "columnspacing": 1.2,
    "labelspacing": 0.25,
    "borderaxespad": 0.2,
}
SHADES = {"text": INK, "green": "#1a7f37", "orange": "#b35900", "red": RED}

Axes: TypeAlias = Any
"""Untyped, since matplotlib comes without types."""
Series = tuple[str, list[float], list[float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every dashboard into the output folder."""
    parser = argparse.ArgumentParser(prog="python -m tools.grafana.pictures")
    parser.add_argument("--output", type=Path, default=FOLDER)
    output = parser.parse_args(arguments).output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, rehearsed(Path(folder)) as seen:
        for dashboard in DASHBOARDS:
            path = output / f"{dashboard.name}.png"
            draw(dashboard, seen).savefig(path, dpi=DPI, facecolor=PAPER)
            print(path)


def draw(dashboard: Dashboard, seen: Rehearsed) -> Figure:
    """Draw a dashboard, its panels placed as in Grafana's grid."""
    places = list(dashboard.placed())
    rows = max(place.y + place.height for _, place in places) + HEAD
    figure = Figure(figsize=(WIDTH, rows * ROW_HEIGHT))
    figure.text(0.012, 1 - 0.85 / rows, dashboard.title, fontsize=16, weight="bold", color=INK)
    for part, place in places:
        top = 1 - (place.y + HEAD) / rows
        if isinstance(part, Row):
            figure.text(0.012, top - 0.75 / rows, part.title, fontsize=11, color="#666666")
        else:
            box = _box(place, top, rows)
            axes = figure.add_axes(box)
            _DRAWN[part.kind](axes, part, seen)
    return figure


def _box(place: Place, top: float, rows: float) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height of a panel's frame, as shares of the figure."""
    gap_x, gap_y = 0.004, 0.12 / rows
    left, width = place.x / COLUMNS * 0.984 + 0.008, place.width / COLUMNS * 0.984
    height = place.height / rows
    return left + gap_x, top - height + gap_y, width - 2 * gap_x, height - 2 * gap_y


def _framed(axes: Axes, panel: Panel) -> None:
    axes.set_facecolor(PAPER)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    axes.text(
        0.02 if panel.kind is not Kind.NUMBER else 0.05,
        1 - 0.55 / panel.height,
        panel.title,
        transform=axes.transAxes,
        fontsize=9.5,
        weight="bold",
        color=INK,
        va="center",
    )


def _figure(axes: Axes, panel: Panel, seen: Rehearsed) -> None:
    """Draw a number in the colour of its step."""
    _framed(axes, panel)
    found = seen.prometheus.value_at(_filled(panel.queries[0]), seen.end)
    colour = panel.base
    shown = "no data"
    if found:
        value = float(found[0]["value"][1])
        shown = units.shown(value, panel.unit, panel.decimals)
        for step in panel.steps:
            colour = step.colour if value >= step.value else colour
    axes.text(
        *(0.5, 0.36, shown),
        transform=axes.transAxes,
        fontsize=22 if found else 13,
        weight="bold" if found else "normal",
        color=SHADES[colour] if found else "#888888",
        ha="center",
        va="center",
    )


def _table(axes: Axes, panel: Panel, seen: Rehearsed) -> None:
    """Draw labels as columns; cut long ones."""
    _framed(axes, panel)
    found = [one["metric"] for one in seen.prometheus.value_at(_filled(panel.queries[0]), seen.end)]
    room = panel.width * 6 // len(panel.columns)
    cells = [[_named(one.get(name, ""), seen)[:room] for name in panel.columns] for one in found]
    for row, cell in enumerate([list(panel.columns), *sorted(cells)]):
        for column, words in enumerate(cell):
            axes.text(
                *(0.03 + column * 0.94 / len(cell), 0.76 - 0.11 * row, words),
                transform=axes.transAxes,
                fontsize=9,
                color=INK if row else "#888888",
                va="center",
            )


def _lines(frame: Axes, panel: Panel, seen: Rehearsed) -> None:
    _framed(frame, panel)
    # The inner axes leave room for the title above, the legend below and the numbers at the left.
    axes = frame.inset_axes((0.095 * 8 / panel.width, 0.27, 1 - 0.125 * 8 / panel.width, 0.56))
    series, limits = _found(panel, seen)
    if panel.stacked and series:
        _stack(axes, series)
    else:
        for number, (name, at, values) in enumerate(series):
            axes.plot(at, values, color=COLOURS[number % len(COLOURS)], linewidth=1.5, label=name)
    for name, at, values in limits:
        axes.plot(at, values, color=RED, linewidth=1.1, linestyle=DASHED)
        _marked(axes, values[-1], name)
    for value in panel.lines_at:
        axes.axhline(value, color=RED, linewidth=1.1, linestyle=DASHED)
        _marked(axes, value, f"{value:g}")
    _scaled(axes, panel, seen)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        frame.legend(
            *(handles[:MAX_NAMES], labels[:MAX_NAMES]),
            loc="lower left",
            bbox_to_anchor=(0.01, 0.0),
            ncols=_columns(labels[:MAX_NAMES], panel),
            **LEGEND,
        )
    else:
        axes.text(0.5, 0.4, "no data", transform=axes.transAxes, ha="center", color="#888888")


def _marked(axes: Axes, value: float, name: str) -> None:
    """Label a dashed line at its right end."""
    axes.annotate(
        *(name, (1, value)),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-2, 2),
        textcoords="offset points",
        fontsize=7.5,
        color=RED,
        ha="right",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )


def _columns(labels: list[str], panel: Panel) -> int:
    """Return the columns of a legend: all in one row if they fit, else by the longest label."""
    room = panel.width * 9
    if sum(len(label) + 5 for label in labels) <= room:
        return len(labels)
    return max(1, room // (max(map(len, labels)) + 5))


def _stack(axes: Axes, series: list[Series]) -> None:
    """Draw stacked areas; missing values count as 0."""
    times = sorted({moment for _, at, _ in series for moment in at})
    below = [0.0] * len(times)
    for number, (name, at, values) in enumerate(series):
        known = {moment: value for moment, value in zip(at, values, strict=True) if value > 0}
        above = [low + known.get(moment, 0.0) for low, moment in zip(below, times, strict=True)]
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(times, below, above, color=colour, alpha=0.75, linewidth=0, label=name)
        below = above


def _scaled(axes: Axes, panel: Panel, seen: Rehearsed) -> None:
    axes.set_xlim(0, seen.end - seen.start)
    low, high = axes.dataLim.intervaly if axes.has_data() else (0.0, 0.0)
    high = max([high, *panel.lines_at]) if math.isfinite(high) else max([0.0, *panel.lines_at])
    axes.set_ylim(min(0.0, low), panel.maximum or 1.12 * high or 1.0)
    drawn = [value for line in axes.lines for value in line.get_ydata()]
    is_counted = all(math.isnan(value) or value == round(value) for value in drawn)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=is_counted))
    axes.yaxis.set_major_formatter(lambda value, _: units.shown(value, panel.unit, None))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.tick_params(labelsize=7.5, colors="#555555", length=0)
    axes.grid(color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)


def _found(panel: Panel, seen: Rehearsed) -> tuple[list[Series], list[Series]]:
    """Query the series of a panel and, separately, its limits."""
    series: list[Series] = []
    limits: list[Series] = []
    for query in panel.queries:
        for labels, points in seen.prometheus.course(_filled(query), seen.start, seen.end, STEP):
            by_time = {round(at - seen.start): value for at, value in points}
            if all(map(math.isnan, by_time.values())):
                continue
            # One point for every step, so that lines break where data is missing.
            times = [float(at) for at in range(min(by_time), max(by_time) + 1, STEP)]
            values = [by_time.get(round(at), math.nan) for at in times]
            one = (_legend(query, labels, seen), times, values)
            (limits if query.is_limit else series).append(one)
    if panel.stacked:  # the largest at the bottom
        series.sort(key=lambda one: -sum(value for value in one[2] if value > 0))
    return series, limits


def _filled(query: Query) -> str:
    return with_all_chosen(query.expr, RATE_INTERVAL)


def _legend(query: Query, labels: dict[str, str], seen: Rehearsed) -> str:
    legend = query.legend
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", _named(value, seen))
    return legend


def _named(value: str, seen: Rehearsed) -> str:
    """Return a display name: replicas by name, methods without their package."""
    return seen.names.get(value, value.rpartition(".")[2] if "/" in value else value)


_DRAWN: dict[Kind, Callable[[Axes, Panel, Rehearsed], None]] = {
    Kind.LINES: _lines,
    Kind.NUMBER: _figure,
    Kind.TABLE: _table,
}

if __name__ == "__main__":
    main()
