"""``potoo datasets import``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
    tell,
)
from service.cli.teach.datasets.options import ProgressLine, with_datasets

if TYPE_CHECKING:
    from schemas.teach.dataset import ImportReport
    from service.teach.datasets.importing.reading import Source
    from service.teach.datasets.opening import Datasets

SHOWN = 20
"""Refused files and contradictions that are printed."""


def import_photos(
    path: Annotated[
        Path,
        typer.Argument(
            help="A folder with a folder for each class; a .csv with the columns path and label; "
            "a .json of Label Studio beside its photos; or a .zip of one of these.",
            metavar="PATH",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the dataset; it is added.", show_default="as the path"),
    ] = None,
    is_multi: Annotated[
        bool, typer.Option("--multi", help="Photos of a new dataset have any number of labels.")
    ] = False,
    replaces_labels: Annotated[
        bool, typer.Option("--relabel", help="Replace the labels of photos that are there.")
    ] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Import photos and their labels; print what was added, and why a file was not.

    Exit status 0 if at least one photo is there afterwards, also if some files were refused.

    Example: potoo datasets import bins/ --name bins
    """
    with plain_errors():
        from service.cli.shared.service_settings import account_settings
        from service.teach.datasets.importing.reading import ImportLimits, open_source

        settings = account_settings(config, data_dir)
        dataset = name or _name_of(path)
        limits = ImportLimits(settings.teach.max_import_files, 2**62)
        progress = ProgressLine("files")
        with open_source(path, limits) as source:
            try:
                report = with_datasets(
                    settings,
                    lambda datasets: _import(
                        datasets, dataset, source, progress, is_multi, replaces_labels
                    ),
                    must_exist=False,
                )
            finally:
                progress.end()
        _print(report)
        if not report.added + report.duplicates:
            fail("no photo was imported")


async def _import(
    datasets: Datasets,
    name: str,
    source: Source,
    progress: ProgressLine,
    is_multi: bool,
    replaces_labels: bool,
) -> ImportReport:
    from schemas.teach.dataset import DatasetKind, NewDataset
    from service.cli.shared.spec_options import checked

    kind = DatasetKind.MULTI if is_multi else DatasetKind.SINGLE
    new, by = checked(NewDataset, {"name": name, "kind": kind}), acting_user()
    existing = await datasets.store.get(name)
    if existing is None:
        await datasets.administration.add(new, by=by)
    elif is_multi and existing.kind is not kind:
        fail(f"the dataset {name} exists, and its photos have one label")
    return await datasets.importer.run(
        name, source, by=by, replaces_labels=replaces_labels, on_progress=progress
    )


def _name_of(path: Path) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", path.resolve().stem.casefold()).strip("-_")[:63]
    if not name:
        fail("give the dataset a name with --name")
    return name


def _print(report: ImportReport) -> None:
    """Print the counts on standard output, and what needs a look on standard error."""
    typer.echo(
        f"{report.dataset}: {report.added} photos added, {report.duplicates} there already, "
        f"{report.refused} files refused"
    )
    if report.labelled:
        typer.echo(f"{report.labelled} photos that were there got a label")
    if report.new_classes:
        typer.echo(f"new classes: {', '.join(report.new_classes)}")
    for merged in report.merged_classes:
        tell(f"class '{merged.given}' is '{merged.used}'")
    for refused in report.refused_files[:SHOWN]:
        tell(f"{refused.file}: {refused.reason}")
    for one in report.contradictions[:SHOWN]:
        kept, other = ", ".join(one.kept), ", ".join(one.other)
        tell(f"{one.file}: the same photo has the label '{kept}', which it keeps; not '{other}'")
    more = max(0, report.refused - SHOWN) + max(0, report.contradicted - SHOWN)
    if more:
        tell(f"and {more} more")
