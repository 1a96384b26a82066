"""Plots of the benchmark of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {"useful": "#0072B2", "random": "#D55E00"}


def plot_accuracy(
    whole: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Plot the accuracy of each kind of head on whole sets, and of pairs by their photos."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = list(dict.fromkeys(row["data"] for row in whole))
    for turn, (kind, colour) in enumerate({"linear": "0.7", "best": "#0072B2"}.items()):
        found = [row["accuracy"] for name in names for row in whole if _is(row, name, kind)]
        places = np.arange(len(names)) + 0.38 * turn
        bars = left.bar(places, found, 0.36, color=colour, label=f"{kind} head")
        left.bar_label(bars, [f"{value:.1%}" for value in found], fontsize=8)
    left.set_xticks(np.arange(len(names)) + 0.19, names)
    left.set_ylim(0, 1.2)
    left.set_title("Photos set aside, from all others", loc="left")
    left.legend(frameon=False, loc="upper right", ncols=2)
    for name in dict.fromkeys(row["data"] for row in pairs):
        rows = [row for row in pairs if row["data"] == name]
        photos = [row["photos of a class"] for row in rows]
        right.boxplot([row["each"] for row in rows], tick_labels=photos, widths=0.5)
        means = [row["accuracy"] for row in rows]
        right.plot(range(1, len(rows) + 1), means, "o", color="#0072B2", label=f"{name}, mean")
    right.set_xlabel("photos of each class")
    right.set_title("All pairs of classes", loc="left")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _is(row: Mapping[str, Any], name: str, kind: str) -> bool:
    return bool(row["data"] == name and row["head"] == kind)


def plot_saving(saving: Mapping[str, Any], path: Path) -> None:
    """Plot the accuracy over the labels in both orders: the mean, and the middle half of seeds."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, colour in COLOURS.items():
        courses = saving[name]["courses"]
        most = min(max(course["labels"]) for course in courses)
        labels = [count for count in courses[0]["labels"] if count <= most]
        table = np.array([course["accuracy"][: len(labels)] for course in courses])
        low, high = np.quantile(table, (0.25, 0.75), axis=0)
        axes.plot(labels, table.mean(axis=0), color=colour, label=f"{name} first")
        axes.fill_between(labels, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.axvline(saving[name]["median"], color=colour, linestyle=":", linewidth=1)
    axes.axhline(float(np.mean(saving["wanted"])), color="0.6", linestyle="--", linewidth=1)
    axes.set_xlabel("labels (dotted: needed, median of the seeds)")
    axes.set_ylabel("accuracy on photos set aside")
    axes.set_title("Labels that reach the accuracy of all, less 2 points (dashed)", loc="left")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_honesty(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot stated accuracies with their intervals against the accuracy on all other photos."""
    from matplotlib import pyplot as plt

    sizes = sorted({row["labels"] for row in rows})
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(2.6 * len(sizes), 3), sharex=True, sharey=True, layout="constrained"
    )
    for axes, size in zip(np.atleast_1d(panels), sizes, strict=True):
        draws = [draw for row in rows if row["labels"] == size for draw in row["draws"]]
        covered = float(np.mean([row["covered"] for row in rows if row["labels"] == size]))
        for draw in draws:
            is_covered = draw["low"] <= draw["true"] <= draw["high"]
            colour = "#0072B2" if is_covered else "#D55E00"
            axes.plot([draw["true"]] * 2, [draw["low"], draw["high"]], color=colour, linewidth=0.5)
        axes.plot([0.2, 1], [0.2, 1], color="0.4", linewidth=1)
        axes.set_title(f"{size} labels: {covered:.0%}", loc="left", fontsize=10)
        axes.set_xlabel("accuracy on others")
        axes.spines[["top", "right"]].set_visible(False)
    np.atleast_1d(panels)[0].set_ylabel("stated 95 % interval")
    figure.savefig(path, dpi=110)
    plt.close(figure)
