"""Options, progress and import that ``potoo models add`` and ``pull`` share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import checking, publisher

if TYPE_CHECKING:
    from service.modeltools.importing.importing import ImportOptions
    from service.settings import Settings

WHEN_SERVED = "running servers take it up within seconds, unless a promotion holds another one"

NameOption = Annotated[str, typer.Option(help="Name of the model; a new one, or another version.")]
LabelsOption = Annotated[
    Path,
    typer.Option(
        help="The labels in the order of the model's outputs: a text file with one a line, JSON, "
        "CSV, or a config.json with id2label."
    ),
]
LikeOption = Annotated[
    str | None,
    typer.Option(
        help="How pixels become numbers: imagenet, 0-1, -1..1, tf, keras-0-1, caffe, keras-caffe, "
        "none. Needed unless the model takes uint8.",
        show_default=False,
    ),
]
VersionOption = Annotated[
    int | None, typer.Option(min=1, help="Its version.", show_default="the next one")
]
SizeOption = Annotated[
    int | None,
    typer.Option(min=1, max=8192, help="Height and width, where the graph takes any."),
]
OutputOption = Annotated[
    str | None, typer.Option(help="Which output is read.", show_default="the first that can be")
]
DescriptionOption = Annotated[str, typer.Option(help="One line for the list of models.")]
LicenceOption = Annotated[str, typer.Option(help="Licence of the model, such as Apache-2.0.")]
SourceOption = Annotated[str, typer.Option(help="Where it comes from.")]
GoldenOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A photo whose answer is stored and checked at every load; with =LABEL nothing is "
        "added unless it is answered with that label. Repeatable.",
        metavar="PHOTO[=LABEL]",
    ),
]


def show_progress(what: str, done: int, total: int) -> None:
    """On a terminal alone."""
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
        goes_on = f"version {made.before} goes on answering" if made.before else "it is not loaded"
        effect = f"{goes_on} until 'potoo models promote {name} {version}'"
    typer.echo(f"added {made.folder}: {classes} classes; {effect}")
