"""``potoo sites sums``: the sums of a site's labelled photos, as a file to be sent."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    ModelsOption,
    fail,
    plain_errors,
)
from service.cli.teach.subject import read_subject, subject_settings, tell_left_out

if TYPE_CHECKING:
    from service.federation.wire import SiteSums
    from service.settings import Settings


def sums(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder with a folder for each class; a .csv or .json list beside its photos; "
            "or the name of a dataset.",
            metavar="FOLDER|DATASET",
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="File to write, such as north.sums.", dir_okay=False)
    ],
    site: Annotated[
        str | None,
        typer.Option(
            help="Name of the site in the federation.", show_default="the name of the file"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Model whose features are used.", show_default="imagenet, or the default model"
        ),
    ] = None,
    base_version: Annotated[
        int | None, typer.Option(min=1, help="Its version.", show_default="the default version")
    ] = None,
    feature: Annotated[
        str | None,
        typer.Option(help="Tensor of its graph to use.", show_default="the penultimate"),
    ] = None,
    sequence: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of the file, above that of the last one that was sent.",
            show_default="milliseconds since 1970",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    models: ModelsOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the sums of labelled photos: the photos stay, and a federation needs no more.

    Example: potoo sites sums bins/ --base imagenet --output north.sums
    """
    with plain_errors():
        if not output.resolve().parent.is_dir():
            fail(f"there is no folder {output.parent}")
        settings = subject_settings(config, data_dir, models)
        number = sequence or int(time.time() * 1000)
        made = _made(settings, source, base, base_version, feature, site or output.stem, number)
        from service.federation.wire import encode

        data = encode(made)
        output.write_bytes(data)
        header = made.header
        if as_json:
            said = header.model_dump(mode="json") | {"bytes": len(data), "file": str(output)}
            typer.echo(json.dumps(said, ensure_ascii=False))
            return
        for name, count in zip(header.classes, header.counts, strict=True):
            typer.echo(f"{count:>8}  {name}")
        typer.echo(
            f"wrote {output}: {sum(header.counts)} photos, {len(data) / 1e6:.2f} MB, site "
            f"'{header.site}', sequence {header.sequence}"
        )


def _made(
    settings: Settings,
    source: str,
    base: str | None,
    base_version: int | None,
    feature: str | None,
    site: str,
    sequence: int,
) -> SiteSums:
    from pydantic import TypeAdapter, ValidationError

    from schemas.federation import SiteName
    from schemas.teach.run import RunOptions
    from service.cli.shared.spec_options import checked
    from service.core.lifecycle.default_model import default_model
    from service.core.repository.repository import Repository
    from service.federation.photos import NoSums, SumsOptions, sums_of_photos
    from service.teach.runs.preparing import Folders, find_base
    from service.teach.runs.problems import RunFailed

    try:
        TypeAdapter(SiteName).validate_python(site)
    except ValidationError:
        fail(f"'{site}' is no name of a site: small letters, digits, - and _; give one with --site")
    subject, left_out = read_subject(settings, source, None, is_multi=False)
    tell_left_out(left_out)
    repository = Repository(settings.models)
    default = default_model(settings.default_model, repository.chosen_model(), repository.names())
    wanted = checked(
        RunOptions,
        {"model": "any", "base": base, "base_version": base_version, "feature": feature},
    )
    options = SumsOptions(find_base(repository, wanted, default), feature, site, sequence)
    folders = Folders(settings.models, settings.data_dir)
    try:
        made, skipped = sums_of_photos(
            subject.dataset, subject.photos, subject.path_of, options, folders
        )
    except NoSums as error:
        fail(str(error))
    except RunFailed as failed:
        fail(failed.detail)
    tell_left_out([f"{one.photo}: {one.reason}" for one in skipped])
    return made
