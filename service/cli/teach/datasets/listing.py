"""``potoo datasets list``, ``show`` and ``photos``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors
from service.cli.teach.datasets.options import NameArgument, with_datasets

if TYPE_CHECKING:
    from service.teach.datasets.opening import Datasets
    from service.teach.datasets.records import StoredPhoto


def list_datasets(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List datasets: name, photos, labelled photos, MiB, classes."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        for one in with_datasets(settings, lambda datasets: datasets.administration.all()):
            classes = ", ".join(f"{each.name} {each.photos}" for each in one.classes)
            typer.echo(
                f"{one.name}\t{one.photos}\t{one.labelled}\t{one.bytes / 2**20:.1f} MiB\t{classes}"
            )


def show(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Print a dataset as JSON, as GET /v1/datasets/NAME returns it."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        found = with_datasets(settings, lambda datasets: datasets.administration.show(name))
        typer.echo(found.model_dump_json(indent=2))


def photos(
    name: NameArgument,
    label: Annotated[str | None, typer.Option(help="Only photos with this label.")] = None,
    is_labelled: Annotated[
        bool | None,
        typer.Option("--labelled/--unlabelled", help="Only photos with, or without, a label."),
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """List the photos of a dataset: id, label, size, group, source."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)

        async def print_all(datasets: Datasets) -> None:
            await datasets.administration.get(name)
            async for photo in datasets.photos.each(name):
                has_label = photo.labels is not None
                if is_labelled is not None and has_label is not is_labelled:
                    continue
                if label is None or (has_label and label in (photo.labels or ())):
                    typer.echo(_line(photo))

        with_datasets(settings, print_all)


def _line(photo: StoredPhoto) -> str:
    labels = "-" if photo.labels is None else ", ".join(photo.labels) or "(none)"
    size = f"{photo.width}x{photo.height}"
    return f"{photo.id}\t{labels}\t{size}\t{photo.group or '-'}\t{photo.source.value}"
