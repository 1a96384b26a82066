"""``potoo datasets export``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
)
from service.cli.teach.datasets.options import NameArgument, ProgressLine, with_datasets

if TYPE_CHECKING:
    from schemas.teach.dataset import ExportFormat
    from service.teach.datasets.opening import Datasets

FORMATS = "folders, csv or label-studio"


def export(
    name: NameArgument,
    format_: Annotated[
        str, typer.Option("--format", help=f"{FORMATS}; folders are a zip file.")
    ] = "folders",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; - is standard output."),
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Export a dataset, to a file that is complete or not there.

    Example: potoo datasets export bins --output bins.zip
    """
    with plain_errors():
        from schemas.teach.dataset import ExportFormat
        from service.cli.shared.service_settings import account_settings

        try:
            form = ExportFormat(format_)
        except ValueError:
            fail(f"--format is {FORMATS}")
        settings = account_settings(config, data_dir)
        if output == Path("-"):
            with_datasets(
                settings, lambda datasets: _write(datasets, name, form, sys.stdout.buffer)
            )
            return
        target = output or Path(f"{name}{form.suffix}")
        descriptor, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with_datasets(settings, lambda datasets: _write(datasets, name, form, file))
            Path(part).chmod(0o644)
            Path(part).replace(target)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        typer.echo(f"exported {name} to {target}")


async def _write(datasets: Datasets, name: str, form: ExportFormat, file: BinaryIO) -> None:
    total = (await datasets.administration.show(name)).photos
    progress, done = ProgressLine("photos"), 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    pieces = await datasets.exporter.open(name, form, by=acting_user(), on_photo=count)
    try:
        async for piece in pieces:
            file.write(piece)
    finally:
        progress.end()
