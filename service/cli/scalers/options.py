"""Options of ``potoo scalers``, and the reading of large CSV files in chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.preprocess.numeric import Header, Separator

if TYPE_CHECKING:
    from service.preprocess.numeric.csv_rows import CsvReader
    from service.preprocess.numeric.rows import RowLimits
    from service.settings import Settings

_ANY_ROWS = 2**62
MIB = 2**20

NameArgument = Annotated[str, typer.Argument(help="Name of the scaler.", metavar="NAME")]
VersionOption = Annotated[
    int | None,
    typer.Option(min=1, help="Which version.", show_default="the one that is to answer"),
]
SeparatorOption = Annotated[Separator, typer.Option(help="Between the cells of the CSV files.")]
HeaderOption = Annotated[
    Header,
    typer.Option(
        help="Whether the first row names the columns; auto: if one of its cells is no number."
    ),
]


def row_limits(settings: Settings) -> RowLimits:
    """Return the limits of the settings, but for the number of rows: files are read in chunks."""
    from service.preprocess.numeric.rows import RowLimits

    limits = settings.preprocess
    return RowLimits(_ANY_ROWS, limits.max_columns, limits.max_cell_characters)


def open_csv(file: Path, separator: Separator, header: Header, limits: RowLimits) -> CsvReader:
    """Return a reader of a CSV file that shows its progress on a terminal."""
    from service.preprocess.numeric.csv_rows import CsvOptions, CsvReader, lines_of

    return CsvReader(lines_of(_shown(file), limits), CsvOptions(separator, header), limits)


def _shown(file: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces; print how much of it was read, every few MiB."""
    from service.preprocess.numeric.csv_rows import pieces_of

    size, read, shown = file.stat().st_size, 0, 0
    is_watched = sys.stderr.isatty()
    with file.open("rb") as opened:
        for piece in pieces_of(opened):
            yield piece
            read += len(piece)
            if is_watched and read - shown >= 4 * MIB:
                shown = read
                done = f"\r{file.name}: {read // MIB} of {size // MIB} MiB   "
                typer.echo(done, nl=False, err=True)
    if is_watched and shown:
        typer.echo("\r\x1b[K", nl=False, err=True)
