"""``potoo models build``: write built-in models into a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.models.changing import checking, publisher
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
    tell,
)


def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Built-in models: imagenet, everyday, imagenet-int8, turbofan, language.",
            metavar="[NAME...]",
            show_default="imagenet and everyday, if missing",
        ),
    ] = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Write built-in models into a repository; no network is needed.

    The first start of 'potoo serve' does this for the repository in the data folder.
    """
    with plain_errors():
        from service.modeltools.sources.built_in import put, seed

        # Seed the data folder's repository first, so that its seeded model is the default.
        settings = settings_with_models(config, models=models)
        repository: Path = settings.models
        publish = publisher(settings)
        with checking(settings) as check:
            if not names:
                seed(repository, check, tell, publish)
            for name in names or ():
                folder = put(name, repository, check, tell, publish)
                typer.echo(f"built {folder}")
