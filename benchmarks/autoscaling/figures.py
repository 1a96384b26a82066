"""The courses of single runs, the summary and the check, as PNG files for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.autoscaling.courses import Course
from benchmarks.autoscaling.policies import CPU_80, P95, SHIPPED
from benchmarks.plots import (
    BLUE,
    DASHED,
    GREY,
    INK,
    OTHERS,
    Axes,
    frame,
    new_figure,
    save,
    text,
)

DRAWN = {SHIPPED: BLUE, CPU_80: OTHERS[0], P95: OTHERS[1]}
MINUTE = 60.0
DPI = 110
PANEL = (4.6, 3.6)
"""Inches."""
Summaries = Mapping[str, Mapping[str, Mapping[str, Any]]]


def course(trace: str, by_policy: Mapping[str, Course], objective: float, folder: Path) -> None:
    """Load, replicas, work in flight, p95 and what was missed, one under the other."""
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
        axes[2].plot(scraped, found.held, **style)
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
    """What it costs against what it gives, a panel for each model and kind of caller."""
    columns = 2
    rows = -(-len(compared) // columns)
    figure = new_figure(
        PANEL[0] * columns, PANEL[1] * rows, "Mean of all traces: up and to the left is better"
    )
    for number, (setting, by_policy) in enumerate(compared.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        frame(axes, setting)
        places = {
            policy: (found["mean"]["hours"], 100 * found["mean"]["in_time"])
            for policy, found in by_policy.items()
        }
        lowest, width = min(y for _, y in places.values()), max(x for x, _ in places.values())
        axes.set_xlim(0, 1.45 * width)
        axes.set_ylim(lowest - 0.06 * (100 - lowest), 100 + 0.06 * (100 - lowest))
        heights = _apart(places, 0.4 * width, 0.065 * (100 - lowest))
        for policy, found in by_policy.items():
            _point(axes, policy, found, places[policy], heights[policy])
        axes.set_xlabel("replica-hours", fontsize=8, color=INK)
        axes.set_ylabel("in time, %", fontsize=8, color=INK)
    save(figure, folder / "autoscaling-summary.png", DPI)


def _apart(
    places: Mapping[str, tuple[float, float]], near: float, distance: float
) -> dict[str, float]:
    """Heights for labels: moved up where one beside it would cover it."""
    heights: dict[str, float] = {}
    for policy, (x, y) in sorted(places.items(), key=lambda entry: entry[1][1]):
        beside = [heights[other] for other in heights if abs(places[other][0] - x) < near]
        heights[policy] = max([y, *(height + distance for height in beside)])
    return heights


def _point(
    axes: Axes, policy: str, found: Mapping[str, Any], at: tuple[float, float], height: float
) -> None:
    colour = DRAWN.get(policy, GREY)
    spread = 100 * (found["plus_minus"]["in_time"] or 0)
    axes.errorbar(*at, yerr=spread, marker="o", markersize=6, color=colour, linewidth=1)
    place = (at[0], height)
    axes.plot([at[0], at[0]], [at[1], height], color=GREY, linewidth=0.6)
    text(axes, policy, place, (8, 0), colour if policy in DRAWN else INK, va="center")


def beside_server(checked: Mapping[str, Mapping[str, list[Any]]], folder: Path) -> None:
    """Measured and simulated: throughput and latency of one replica under more and more load."""
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
