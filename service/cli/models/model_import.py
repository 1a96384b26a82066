"""Options, progress and import shared by ``potoo models add`` and ``pull``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import checking, publisher

if TYPE_CHECKING:
    from service.modeltools.importing.importing import ImportOptions
    from service.settings import Settings

WHEN_SERVED = "running servers load it within seconds, unless another version is promoted"

NameOption = Annotated[str, typer.Option(help="Name of the model; a new one, or another version.")]
LabelsOption = Annotated[
    Path,
    typer.Option(
        help="Labels in the order of the model's outputs: a text file with one per line, JSON, "
        "CSV, or a config.json with id2label."
    ),
]
LikeOption = Annotated[
    str | None,
    typer.Option(
        help="Preprocessing: imagenet, 0-1, -1..1, tf, keras-0-1, caffe, keras-caffe or none. "
        "Required unless the model takes uint8.",
        show_default=False,
    ),
]
VersionOption = Annotated[
    int | None, typer.Option(min=1, help="Number of the version.", show_default="the next one")
]
SizeOption = Annotated[
    int | None,
    typer.Option(min=1, max=8192, help="Height and width, if the graph's are dynamic."),
]
OutputOption = Annotated[
    str | None, typer.Option(help="Name of the output.", show_default="the first suitable one")
]
DescriptionOption = Annotated[str, typer.Option(help="One line for the list of models.")]
LicenceOption = Annotated[str, typer.Option(help="Licence of the model, such as Apache-2.0.")]
SourceOption = Annotated[str, typer.Option(help="Origin of the model, such as a URL.")]
GoldenOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A photo whose result is stored and checked at every load; with =LABEL nothing is "
        "added unless LABEL is the result. Repeatable.",
        metavar="PHOTO[=LABEL]",
    ),
]


def show_progress(what: str, done: int, total: int) -> None:
    """Print progress on one line of standard error, if it is a terminal."""
    if sys.stderr.isatty():
        typer.echo(f"\r{what}: {done} of {total or '?'}   ", nl=False, err=True)


def add_model(settings: Settings, file: Path, wanted: ImportOptions) -> None:
    """Add a version of a model; print the assumptions and the folder."""
    from service.modeltools.importing.importing import import_model

    with checking(settings) as check:
        made = import_model(
            file,
            wanted,
            settings.models,
            settings.limits.of_images,
            check,
            publisher(settings),
        )
    for sentence in made.unsure:
        typer.echo(f"note: {sentence}")
    classes = len(made.manifest.labels)
    name, version = made.manifest.name, made.manifest.version
    effect = WHEN_SERVED
    if wanted.no_promote:
        state = f"version {made.before} stays the default" if made.before else "it is not loaded"
        effect = f"{state} until 'potoo models promote {name} {version}'"
    typer.echo(f"added {made.folder}: {classes} classes; {effect}")
