"""Print the comparison of ``potoo models optimise``: both models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from service.modeltools.optimising.comparing import Comparison, Side

_TITLE, _COLUMN = 24, 12


def show(both: Comparison) -> None:
    """Print a table; the last column is the number of images that a figure is based on."""
    before, after = both.original, both.optimised
    judging, labelled, sure = both.judging_images, both.labelled_images, both.sure_images
    _row("", "original", "optimised", "images")
    _row("calibrated on", "", "", f"{both.calibration_images}")
    _row("run, milliseconds", f"{before.run_ms:.2f}", f"{after.run_ms:.2f}", f"{judging}")
    _row("size, MB", f"{before.bytes / 1e6:.2f}", f"{after.bytes / 1e6:.2f}", "")
    _row("top-1", _top1(before), _top1(after), f"{labelled}")
    _row("same answer", "", f"{both.agreement:.2%}", f"{judging}")
    agreement = both.confident_agreement
    _row("same answer, where sure", "", "-" if agreement is None else f"{agreement:.2%}", f"{sure}")


def _row(title: str, *columns: str) -> None:
    typer.echo(f"{title:<{_TITLE}}{''.join(f'{column:>{_COLUMN}}' for column in columns)}".rstrip())


def _top1(side: Side) -> str:
    return "-" if side.top1 is None else f"{side.top1:.2%}"
