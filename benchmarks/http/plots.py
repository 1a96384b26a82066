"""Plots of the tables: PNG files beside the JSON.

Colours are those of Okabe and Ito, which colour-blind people can tell apart. Lines and bars are
labelled in place instead of by a legend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure

from benchmarks.http.rounds import RoundFigures
from benchmarks.peers.comparison import LARGE_CLIENTS, POTOO, Compared
from benchmarks.support import photo
from benchmarks.support.measuring import Samples, median

Axes: TypeAlias = Any
"""Untyped, since matplotlib comes without types."""

BLUE, GREY, FAINT, INK = "#0072B2", "#8c8c8c", "#c9c9c9", "#333333"
OTHERS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00")
DPI = 150
PANEL = 4.4
"""Width of a panel in inches."""
DASHED = (0, (4, 3))
NEAREST_LABELS = 0.06
"""Least distance of the labels at the ends of lines, as a share of the axis."""


def server(measured: Mapping[str, RoundFigures], path: Path) -> None:
    """Plot requests a second by clients, with share of the bare loop and p99; a panel a model."""
    shown = {name: found for name, found in measured.items() if found.server}
    if not shown:
        return
    figure = new_figure(PANEL * len(shown), 4.2, "Requests a second by number of clients")
    for number, (name, found) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(1, len(shown), number)
        frame(axes, name)
        top = _bare_lines(axes, found)
        lines = {POTOO: found.server, **found.others}
        ends = {}
        for colour, (title, by_clients) in zip((BLUE, *OTHERS), lines.items(), strict=False):
            ends[title] = (_line(axes, list(by_clients.values()), colour), colour)
            top = max(top, *(median(samples, "per_second") for samples in by_clients.values()))
        axes.set_ylim(0, 1.12 * top)
        axes.set_xlim(-0.4, len(found.server) - 0.2)
        _end_labels(axes, ends, len(found.server) - 1, NEAREST_LABELS * 1.12 * top)
        _ticks(axes, found)
    save(figure, path)


def peers(compared: Mapping[str, Compared], path: Path) -> None:
    """Plot requests a second and p99 of every server as bars; a column a model, a row a photo."""
    shown = {name: found for name, found in compared.items() if found.servers}
    if not shown:
        return
    measured = next(iter(next(iter(shown.values())).servers.values()))
    small = max(
        (load for load in measured if "," not in load), key=lambda load: int(load.split()[0])
    )
    loads = {
        small: f"{photo.SIZE[0]} x {photo.SIZE[1]}, {small}",
        f"{LARGE_CLIENTS} clients, {photo.LARGE_TITLE}": f"12 megapixels, {LARGE_CLIENTS} clients",
    }
    title = "Requests a second (and p99) on the same photo and model"
    figure = new_figure(1.4 * PANEL * len(shown), 2 * 3.2, title)
    places = ((load, name) for load in loads for name in shown)
    for number, (load, name) in enumerate(places, 1):
        axes = figure.add_subplot(len(loads), len(shown), number)
        frame(axes, f"{name}, {loads[load]}")
        _bars(axes, shown[name], load)
        if load == small:
            lines = [f"{title}: {why.split(':')[0]}" for title, why in shown[name].failed.items()]
            text(axes, "\n".join(lines), (0, 0), (0, -24), va="top", xycoords="axes fraction")
    save(figure, path)


def _bare_lines(axes: Axes, found: RoundFigures) -> float:
    """Draw the bare loops as levels; return the upper one."""
    rates = []
    for kind, title in (("better", "no server"), ("textbook", "no server, textbook")):
        rates.append(median(found.bare[kind], "per_second"))
        axes.axhline(rates[-1], color=GREY, linewidth=0.8, linestyle=DASHED)
        text(axes, f"{title}: {rates[-1]:.0f}", (-0.35, rates[-1]), (0, 2), GREY, va="bottom")
    return max(rates)


def _line(axes: Axes, points: Sequence[Samples], colour: str) -> float:
    """Draw medians with the range of all rounds; return the last median."""
    rates = [median(samples, "per_second") for samples in points]
    ranges = [[sample["per_second"] for sample in samples] for samples in points]
    low = [rate - min(found) for rate, found in zip(rates, ranges, strict=True)]
    high = [max(found) - rate for rate, found in zip(rates, ranges, strict=True)]
    axes.errorbar(range(len(rates)), rates, [low, high], color=colour, marker="o", markersize=4)
    return rates[-1]


def _end_labels(
    axes: Axes, ends: Mapping[str, tuple[float, str]], place: float, distance: float
) -> None:
    """Label each line at its end, moved up where labels would overlap."""
    height = float("-inf")
    for title, (rate, colour) in sorted(ends.items(), key=lambda end: end[1][0]):
        height = max(rate, height + distance)
        text(axes, title, (place, height), (7, 0), colour, va="center")


def _ticks(axes: Axes, found: RoundFigures) -> None:
    """Label the axis with clients, share of the bare loop and p99."""
    labels = []
    for clients, samples in found.server.items():
        share = found.share_of_bare_loop(samples) or 0.0
        labels.append(f"{clients}\n{share:.0%}\n{median(samples, 'p99_ms'):.0f} ms")
    axes.set_xticks(range(len(labels)), labels)
    heading = "clients\nshare\np99"
    text(axes, heading, (0, 0), (6, -6), ha="right", va="top", xycoords="axes fraction")


def _bars(axes: Axes, found: Compared, load: str) -> None:
    rows = [(title, loads[load]) for title, loads in found.servers.items()]
    rows.sort(key=lambda row: median(row[1], "per_second"))
    rates = [median(samples, "per_second") for _, samples in rows]
    colours = {title: GREY if title.endswith("better") else FAINT for title, _ in rows}
    colours[POTOO] = BLUE
    axes.barh(range(len(rows)), rates, color=[colours[title] for title, _ in rows], height=0.7)
    bare = found.bare[f"better, {photo.LARGE_TITLE}" if photo.LARGE_TITLE in load else "better"]
    level = median(bare, "per_second")
    axes.axvline(level, color=INK, linewidth=0.8, linestyle=DASHED)
    text(axes, "no server at all", (level, len(rows) - 0.4), (-3, 0), ha="right", va="bottom")
    for place, (rate, (_, samples)) in enumerate(zip(rates, rows, strict=True)):
        label = f"{rate:.0f}  ({median(samples, 'p99_ms'):.0f} ms)" if rate else "no answer in time"
        over_the_line = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        text(axes, label, (rate, place), (4, 0), va="center", bbox=over_the_line)
    names = [title.replace(", better", ", Potoo's preprocessing") for title, _ in rows]
    axes.set_yticks(range(len(rows)), [name.replace(", textbook", "") for name in names])
    axes.set_xlim(0, 1.3 * max([*rates, level]))
    axes.set_ylim(-0.6, len(rows) + 0.3)


def text(
    axes: Axes,
    words: str,
    at: tuple[float, float],
    offset: tuple[int, int],
    colour: str = INK,
    **style: object,
) -> None:
    """Write text at a place in the data, offset by points."""
    style = {"fontsize": 8, "textcoords": "offset points", "color": colour, **style}
    axes.annotate(words, at, offset, **style)


def new_figure(width: float, height: float, title: str) -> Figure:
    """Create a figure, in inches, with its title at the top left."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    return figure


def frame(axes: Axes, title: str) -> None:
    """Title the axes, and remove the upper and right edges of the frame."""
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=dpi)
