"""Draws single runs, the summary and the check against the server as PNG files for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.http.plots import (
    BLUE,
    DASHED,
    FAINT,
    GREY,
    INK,
    OTHERS,
    Axes,
    frame,
    new_figure,
    save,
    text,
)
from tools.autoscaling.courses import Course
from tools.autoscaling.policies import CPU_80, P95, SHIPPED

DRAWN = {SHIPPED: BLUE, CPU_80: OTHERS[0], P95: OTHERS[1]}
MINUTE = 60.0
DPI = 110
PANEL = (4.6, 3.4)
"""Size of a panel in inches."""
LEAST_HELD = 0.5
"""Lower bound on the logarithmic axis: less is noise, and 0 has no logarithm."""
Summaries = Mapping[str, Mapping[str, Mapping[str, Any]]]


def course(trace: str, by_policy: Mapping[str, Course], objective: float, folder: Path) -> None:
    """Draw load, replicas, work in flight, p95 and missed requests, one below the other."""
    figure = new_figure(7.5, 7.6, f"{trace}: replicas and what came of them")
    axes = figure.subplots(5, 1, sharex=True)
    any_course = next(iter(by_policy.values()))
    minutes = [second / MINUTE for second in range(len(any_course.rates))]
    axes[0].fill_between(minutes, any_course.rates, color=GREY, linewidth=0, alpha=0.5)
    axes[0].set_ylim(0)
    for place, (policy, found) in enumerate(by_policy.items()):
        colour = DRAWN[policy]
        style = {"color": colour, "linewidth": 2.2 - 0.5 * place}
        scraped = [second / MINUTE for second in found.scraped]
        binned = found.at / MINUTE
        axes[1].step(scraped, found.replicas, where="post", **style)
        axes[2].plot(scraped, [max(LEAST_HELD, held) for held in found.held], **style)
        axes[3].plot(binned, [1000 * value for value in found.p95], **style)
        axes[4].plot(binned, [100 * value for value in found.missed], **style)
        words = (
            f"{policy}: {found.score.in_time:.1%} in time, {found.score.hours:.2f} replica-hours"
        )
        text(axes[1], words, (0, 1), (4, 30 - 11 * place), colour, xycoords="axes fraction")
    axes[2].set_yscale("log")
    axes[3].set_yscale("log")
    axes[3].axhline(1000 * objective, color=INK, linewidth=0.9, linestyle=DASHED)
    text(axes[3], "objective", (minutes[-1], 1000 * objective), (0, 3), ha="right")
    titles = (
        "images asked for a second",
        "replicas",
        "in flight and waiting on each ready replica",
        "p95 of the answers, ms",
        "not answered within the objective, %",
    )
    for one, title in zip(axes, titles, strict=True):
        frame(one, "")
        one.set_title(title, fontsize=9, color=INK, loc="right")
    axes[1].set_ylim(0)
    axes[4].set_ylim(0, 102)
    axes[4].set_xlabel("minutes", fontsize=8, color=INK)
    save(figure, folder / f"autoscaling-{trace.replace(' ', '-')}.png", DPI)


def summary(compared: Summaries, folder: Path) -> None:
    """Draw missed requests and cost, a row for each model and kind of caller."""
    title = "Mean of all traces, with 95 % intervals where there were several seeds"
    figure = new_figure(9.2, 2.3 * len(compared), title)
    rows = figure.subplots(len(compared), 2, squeeze=False, sharex="col")
    for (missed, hours), (setting, by_policy) in zip(rows, compared.items(), strict=True):
        shares = {policy: 1 - found["mean"]["in_time"] for policy, found in by_policy.items()}
        costs = {policy: found["mean"]["hours"] for policy, found in by_policy.items()}
        spreads = {policy: found["plus_minus"] for policy, found in by_policy.items()}
        _bars(missed, shares, {name: one["in_time"] for name, one in spreads.items()}, ".1%")
        _bars(hours, costs, {name: one["hours"] for name, one in spreads.items()}, ".2f")
        frame(missed, f"{setting}: not answered in time")
        frame(hours, "replica-hours")
        hours.set_yticks([])
        for axes in (missed, hours):
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
    for axes in rows[-1]:
        axes.set_xlim(right=1.2 * axes.get_xlim()[1])
    save(figure, folder / "autoscaling-summary.png", DPI)


def _bars(
    axes: Axes, values: Mapping[str, float], spreads: Mapping[str, float | None], form: str
) -> None:
    names = list(values)
    places = range(len(names) - 1, -1, -1)
    colours = [DRAWN.get(name, FAINT) for name in names]
    errors = [spreads[name] or 0 for name in names]
    axes.barh(places, list(values.values()), color=colours, height=0.7)
    axes.errorbar(
        list(values.values()), places, xerr=errors, color=INK, linewidth=0, elinewidth=0.8
    )
    for place, name, error in zip(places, names, errors, strict=True):
        text(axes, format(values[name], form), (values[name] + error, place), (4, 0), va="center")
    axes.set_yticks(places, names)


def beside_server(checked: Mapping[str, Mapping[str, list[Any]]], folder: Path) -> None:
    """Draw throughput and latency of one replica under rising load, measured and simulated."""
    opened = [(name, found["open"]) for name, found in checked.items() if found["open"]]
    if not opened:
        return
    name, points = opened[0]
    figure = new_figure(2 * PANEL[0], PANEL[1], f"One replica, {name}: simulated and measured")
    panels = (("per_second", "answered in time, a second"), ("p99_ms", "p99 of the accepted, ms"))
    for number, (key, title) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 2, number)
        frame(axes, title)
        offered = [point["offered"] for point in points]
        simulated = [point["simulated"][key] for point in points]
        measured = [point["measured"][key] for point in points]
        axes.plot(offered, simulated, color=BLUE)
        axes.plot(offered, measured, color=OTHERS[0], marker="o", linewidth=0)
        axes.set_ylim(0, 1.2 * max(measured + simulated))
        axes.set_xlim(0, 1.25 * offered[-1])
        axes.set_xlabel("asked for, a second", fontsize=8, color=INK)
        higher, lower = sorted(
            ((simulated[-1], "simulated", BLUE), (measured[-1], "measured", OTHERS[0])),
            reverse=True,
        )
        text(axes, higher[1], (offered[-1], higher[0]), (8, 3), higher[2], va="bottom")
        text(axes, lower[1], (offered[-1], lower[0]), (8, -3), lower[2], va="top")
    save(figure, folder / "autoscaling-check.png", DPI)
