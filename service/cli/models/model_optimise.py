"""``potoo models optimise``: quantise a model to INT8 and compare it with the original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import publisher
from service.cli.models.model_import import WHEN_SERVED, show_progress
from service.cli.models.model_list import NameArgument, repository_of, version_folder
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.modeltools.optimising.comparing import Comparison, Side

_TITLE, _COLUMN = 24, 12


def optimise(
    name: NameArgument,
    images: Annotated[
        Path,
        typer.Option(
            help="A few hundred typical photos: a folder (with one folder per label, if labels are "
            "known), or a CSV file with the columns file and label.",
            exists=True,
        ),
    ],
    max_loss: Annotated[
        float, typer.Option(min=0, max=100, help="Permitted loss of accuracy in percentage points.")
    ] = 1.0,
    min_agreement: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Least percentage of equal answers, among photos that the original is sure about.",
        ),
    ] = 95.0,
    keep_slower: Annotated[
        bool,
        typer.Option("--keep-slower", help="Write it even if it is no faster on this machine."),
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Quantise a model to INT8, calibrated on your images, and compare it with the original.

    It becomes the model's newest version, with a report. It is not written if it loses too much.
    """
    with plain_errors():
        from service.modeltools.optimising.optimising import optimise

        settings = settings_with_models(config, models=models)
        made = optimise(
            version_folder(repository_of(settings), name, None),
            images,
            allowed_points=max_loss,
            min_agreement=min_agreement,
            keep_slower=keep_slower,
            limits=settings.limits.of_images,
            progress=show_progress,
            notice=lambda remark: typer.echo(f"note: {remark}"),
            publish=publisher(settings),
        )
        if sys.stderr.isatty():
            typer.echo("", err=True)
        typer.echo(f"chosen: {made.choice.taken.recipe.title}")
        typer.echo(f"because: {made.choice.reason}")
        _print_comparison(made.comparison)
        typer.echo(f"written to {made.folder}; {WHEN_SERVED}")


def _print_comparison(both: Comparison) -> None:
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
