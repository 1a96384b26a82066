"""``potoo scalers apply``: scale a table, chunk by chunk."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from service.cli.scalers.options import (
    HeaderOption,
    NameArgument,
    SeparatorOption,
    VersionOption,
    open_csv,
    row_limits,
)
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)


def apply(
    name: NameArgument,
    file: Annotated[
        Path,
        typer.Argument(help="A CSV file with the scaler's columns.", exists=True, dir_okay=False),
    ],
    version: VersionOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Write to this file.", show_default="standard output", dir_okay=False),
    ] = None,
    separator: SeparatorOption = "comma",
    header: HeaderOption = "auto",
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the rows of a table as a scaler scales them, as CSV with commas.

    Numbers are written with all their digits; NaN is an empty cell.
    """
    with plain_errors():
        from schemas.errors import CallerError
        from schemas.models import MODEL_FILE
        from service.core.numeric.scaler_graph import read_file
        from service.core.repository.repository import Repository
        from service.preprocess.numeric.rows import Rows, check_columns, check_results
        from service.preprocess.numeric.writing import csv_text
        from service.preprocess.scalers.catalogue import ScalerCatalogue

        settings = settings_with_models(config, models=models)
        repository = Repository(settings.models)
        found = ScalerCatalogue(repository).get(name, version)
        scaler = read_file(repository.version(name, found.version) / MODEL_FILE).map
        names = tuple(column.name for column in found.columns if column.name)
        reader = open_csv(file, separator, header, row_limits(settings))
        with nullcontext(sys.stdout) if output is None else output.open("w", newline="") as target:
            try:
                for place, values_NC in enumerate(reader):
                    rows = Rows(values_NC, reader.columns)
                    check_columns(rows, name, scaler.columns, names)
                    scaled_NC = check_results(scaler(values_NC), rows)
                    target.write(csv_text(scaled_NC, () if place else reader.columns))
            except CallerError as error:
                fail(f"{file}: {error.detail}")
