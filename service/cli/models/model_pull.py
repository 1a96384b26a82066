"""``potoo models pull`` and ``potoo models catalogue``: download models by name or URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.model_import import (
    DescriptionOption,
    GoldenOption,
    LicenceOption,
    LikeOption,
    OutputOption,
    SizeOption,
    VersionOption,
    add_model,
    show_progress,
)
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.modeltools.sources.catalogue import CatalogueEntry
    from service.settings import Settings

DOWNLOADS = ".downloads"
MAX_LABEL_BYTES = 2**20
CatalogueOption = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        help="JSON file with models of your own; they override those that Potoo knows.",
        show_default="catalogue.json of --models",
    ),
]


def pull(
    source: Annotated[
        str,
        typer.Argument(
            help="A name of 'potoo models catalogue', https://..., or "
            "hf://ORG/REPOSITORY/PATH[@REVISION].",
            metavar="SOURCE",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="the catalogue's")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Text file with one label per line.", show_default="those of the catalogue"
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Required SHA-256 digest of the file.", show_default=False)
    ] = None,
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="Accept any file, and print its digest.")
    ] = False,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Maximum size of the file.", show_default="2 GiB")
    ] = None,
    own: CatalogueOption = None,
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
    """Download an ONNX file, check its digest, and add it as a version of a model.

    A name from the catalogue is enough. An interrupted download resumes where it stopped.
    """
    with plain_errors():
        from service.modeltools.imagenet.names import class_names
        from service.modeltools.importing.importing import ImportOptions
        from service.modeltools.sources.catalogue import CatalogueEntry, find_entry
        from service.modeltools.sources.download import MAX_BYTES, discard, download
        from service.modeltools.sources.model_sources import url_of

        settings = settings_with_models(config, models=models)
        if "://" in source:
            url, digest = url_of(source), (sha256 or "").lower()
            entry = CatalogueEntry.model_construct(url=url, sha256=digest)
            if name is None:
                fail("give the model a name with --name")
        else:
            entry, url = find_entry(source, _own(settings, own), settings.models_mirror)
            if sha256 is not None and sha256.lower() != entry.sha256:
                fail(f"the digest of '{source}' in the catalogue is {entry.sha256}")
        if not entry.sha256 and not unpinned:
            fail("give the file's digest with --sha256, or accept any file with --unpinned")
        folder, label_part = settings.models / DOWNLOADS, None
        if labels is None and entry.labels_url is not None:
            address = url_of(entry.labels_url)
            label_part, _ = download(
                address, folder, entry.labels_sha256, max_bytes=MAX_LABEL_BYTES
            )
        names = class_names() if labels is None and entry.labels == "imagenet" else None
        if labels is None and label_part is None and names is None:
            fail("give --labels: the meaning of the model's outputs is unknown")
        file, digest = download(
            url,
            folder,
            entry.sha256 or None,
            max_bytes=max_bytes or MAX_BYTES,
            exact_bytes=entry.bytes,
            progress=show_progress,
        )
        if not entry.sha256:
            typer.echo(f"sha256 {digest}")
        wanted = ImportOptions(
            name=name or source,
            labels=labels or label_part or Path(entry.labels or ""),
            like=like or entry.like,
            version=version,
            size=size,
            output=output,
            description=description or entry.description,
            licence=licence or entry.licence,
            source=source if "://" in source else entry.url,
            golden=tuple(golden or ()),
            names=names,
        )
        add_model(settings, file, wanted)
        for part in filter(None, (file, label_part)):
            discard(part)


def catalogue(
    own: CatalogueOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all fields as JSON.")] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """List models that 'pull' knows: name, size, licence, input, description."""
    with plain_errors():
        from service.modeltools.sources.catalogue import shipped

        known = shipped() | _own(settings_with_models(config, models=models), own)
        if as_json:
            listed = [
                {"name": name, **entry.model_dump(exclude_none=True)}
                for name, entry in known.items()
            ]
            typer.echo(json.dumps(listed, indent=2))
            return
        for name, entry in known.items():
            size = f"{entry.bytes / 1e6:.1f} MB" if entry.bytes else "-"
            facts = (name, size, entry.licence or "-", entry.input or "-", entry.description)
            typer.echo("\t".join(facts).rstrip())


def _own(settings: Settings, file: Path | None) -> dict[str, CatalogueEntry]:
    """Read the operator's catalogue; that of the repository may be missing."""
    from service.modeltools.sources.catalogue import CATALOGUE_FILE, read_catalogue

    if file is not None:
        return read_catalogue(file)
    return read_catalogue(settings.models / CATALOGUE_FILE, may_be_missing=True)
