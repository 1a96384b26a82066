"""``potoo models pull``, and what it shares with ``add``: a model comes into the repository."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared_options import ConfigOption, ModelsOption, fail, plain_errors

if TYPE_CHECKING:
    from service.core.model import Model
    from service.modeltools.importing import Wanted
    from service.settings import Settings

WHEN_SERVED = "running servers take it up within seconds, unless a promotion holds another one"
DOWNLOADS = ".downloads"

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


def pull(
    source: Annotated[
        str,
        typer.Argument(
            help="https://..., hf://ORG/REPOSITORY/PATH[@REVISION], or a name in the catalogue.",
            metavar="SOURCE",
        ),
    ],
    name: NameOption,
    labels: Annotated[
        Path | None,
        typer.Option(help="A label a line.", show_default="those of the catalogue"),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="The digest that the file must have.", show_default=False)
    ] = None,
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="Take what comes, and print its digest.")
    ] = False,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Larger files are refused.", show_default="2 GiB")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="JSON file of known models.", show_default="catalogue.json of --models"),
    ] = None,
    like: LikeOption = None,
    version: VersionOption = None,
    size: SizeOption = None,
    output: OutputOption = None,
    description: DescriptionOption = "",
    licence: LicenceOption = "",
    golden: GoldenOption = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Download an ONNX file, check its digest, and add it.

    A download that was interrupted goes on where it stopped.
    """
    with plain_errors():
        from service.modeltools.download import MAX_BYTES, discard, download
        from service.modeltools.importing import Wanted
        from service.modeltools.model_sources import (
            CATALOGUE_FILE,
            CatalogueEntry,
            find_source,
            url_of,
        )
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        entry = find_source(source, catalogue or settings.models / CATALOGUE_FILE)
        if isinstance(entry, str):
            entry = CatalogueEntry.model_construct(url=entry, sha256=(sha256 or "").lower())
        elif sha256 is not None and sha256.lower() != entry.sha256:
            fail(f"the catalogue says that '{source}' has the digest {entry.sha256}")
        if not entry.sha256 and not unpinned:
            fail("say which file it must be with --sha256, or take what comes with --unpinned")
        folder = settings.models / DOWNLOADS
        cap = max_bytes or MAX_BYTES
        label_part = None
        if labels is None and entry.labels_url is not None:
            label_part, _ = download(
                url_of(entry.labels_url), folder, entry.labels_sha256, max_bytes=2**20
            )
        if labels is None and label_part is None:
            fail("give --labels: nobody else says what the model's outputs mean")
        file, digest = download(
            url_of(entry.url), folder, entry.sha256 or None, max_bytes=cap, progress=show_progress
        )
        if not entry.sha256:
            typer.echo(f"sha256 {digest}")
        wanted = Wanted(
            name=name,
            labels=labels or label_part or Path(),
            like=like or entry.like,
            version=version,
            size=size,
            output=output,
            description=description or entry.description,
            licence=licence or entry.licence,
            source=source,
            golden=tuple(golden or ()),
        )
        bring_in(settings, file, wanted)
        for part in filter(None, (file, label_part)):
            discard(part)


def show_progress(what: str, done: int, total: int) -> None:
    """On a terminal alone."""
    if sys.stderr.isatty():
        typer.echo(f"\r{what}: {done} of {total or '?'}   ", nl=False, err=True)


@contextmanager
def checking(settings: Settings) -> Iterator[Callable[[Path], Model]]:
    """Loads a version as a server would, to see whether it can be served, and lets go of it."""
    from observability.metrics import Metrics
    from service.runtime import model_loader, open_pool

    with open_pool(settings) as pool:
        load = model_loader(settings, pool, Metrics())

        def check(folder: Path) -> Model:
            model = load(folder)
            model.release()
            return model

        yield check


def bring_in(settings: Settings, file: Path, wanted: Wanted) -> None:
    """Adds a model, and prints what was assumed and where it is."""
    from service.modeltools.importing import import_model

    with checking(settings) as check:
        made = import_model(file, wanted, settings.models, settings.limits.of_images, check)
    for sentence in made.unsure:
        typer.echo(f"note: {sentence}")
    classes = len(made.manifest.labels)
    name, version = made.manifest.name, made.manifest.version
    then = WHEN_SERVED
    if wanted.no_promote:
        goes_on = f"version {made.before} goes on answering" if made.before else "it is not loaded"
        then = f"{goes_on} until 'potoo models promote {name} {version}'"
    typer.echo(f"added {made.folder}: {classes} classes; {then}")
