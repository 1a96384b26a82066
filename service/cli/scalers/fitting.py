"""``potoo scalers fit``: fit a scaler to tables, and publish it as a version of a model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.preprocess.numeric import Header, Impute, ScalerKind, Separator
from service.cli.models.changing import open_control
from service.cli.models.model_import import WHEN_SERVED
from service.cli.scalers.options import (
    HeaderOption,
    NameArgument,
    SeparatorOption,
    open_csv,
    row_limits,
)
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    acting_user,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.preprocess.scalers.sums import RowSums
    from service.settings import Settings

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        help="CSV files of the same columns, in UTF-8; empty cells and NaN are missing numbers.",
        metavar="FILE...",
        exists=True,
        dir_okay=False,
    ),
]
KindOption = Annotated[
    ScalerKind,
    typer.Option(
        help="standard: mean 0, deviation 1; min-max: 0 to 1; robust: median 0, interquartile "
        "range 1."
    ),
]
ImputeOption = Annotated[
    Impute, typer.Option(help="What replaces missing numbers; none: they stay NaN.")
]


def fit(
    name: NameArgument,
    files: FilesArgument,
    kind: KindOption = "standard",
    impute: ImputeOption = "none",
    separator: SeparatorOption = "comma",
    header: HeaderOption = "auto",
    description: Annotated[str, typer.Option(help="One line for the list.")] = "",
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Fit a scaler to tables of numbers, and publish it as a new version.

    The files are read in chunks, so they may be larger than the memory. Medians and quartiles need
    all distinct numbers of a column: at most preprocess.max_distinct.

    Example: potoo scalers fit passengers passengers.csv --impute median
    """
    with plain_errors():
        from service.core.repository.repository import Repository
        from service.preprocess.scalers.fitting import fit as fitted
        from service.preprocess.scalers.publishing import write_scaler

        settings = settings_with_models(config, models=models)
        scaler = fitted(_sums(settings, files, separator, header), kind, impute)
        repository = Repository(settings.models)
        with open_control(settings) as control:
            version = asyncio.run(
                control.add(
                    name,
                    lambda draft: write_scaler(draft, repository, scaler, description),
                    by=acting_user(),
                )
            )
        rows, columns = scaler.graph.facts.rows, scaler.graph.map.columns
        typer.echo(f"fitted {name} {version}: {columns} columns, {rows} rows; {WHEN_SERVED}")


def _sums(settings: Settings, files: list[Path], separator: Separator, header: Header) -> RowSums:
    """Return the statistics of all files, chunk by chunk."""
    from service.preprocess.numeric.rows import InvalidRows, Rows
    from service.preprocess.scalers.sums import merged, sums_of

    limits, most = row_limits(settings), settings.preprocess.max_distinct
    whole: RowSums | None = None
    for file in files:
        reader = open_csv(file, separator, header, limits)
        try:
            for values_NC in reader:
                before = reader.rows - len(values_NC)
                part = sums_of(Rows(values_NC, reader.columns), most, first_row=before)
                whole = part if whole is None else merged([whole, part], most)
        except InvalidRows as error:
            fail(f"{file}: {error.detail}")
    if whole is None:
        fail("there are no rows")
    return whole
