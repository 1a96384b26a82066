"""``potoo models`` verify, promote, rollback and remove: which versions serve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import checking, open_control
from service.cli.models.model_list import NameArgument, names_in, repository_of
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    acting_user,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.core.repository.repository import Repository

VersionArgument = Annotated[
    int, typer.Argument(help="Number of the version.", metavar="VERSION", min=1)
]


def verify(
    name: Annotated[
        str | None,
        typer.Argument(help="Verify only this model.", metavar="[NAME]", show_default=False),
    ] = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Load every version and check digest, manifest, graph and golden samples.

    Exit status 1 if any of them failed.
    """
    with plain_errors():
        from service.core.repository.repository import ModelRefused

        settings = settings_with_models(config, models=models)
        repository, failed = repository_of(settings), False
        names = names_in(repository) if name is None else [name]
        with checking(settings) as check:
            for each in names:
                for number, folder in reversed(repository.versions(each).items()):
                    try:
                        model = check(folder)
                    except ModelRefused as error:
                        typer.echo(f"{each}\t{number}\tFAILED\t{error}")
                        failed = True
                    else:
                        classes = f"{len(model.labels)} classes" if model.labels else "no classes"
                        facts = f"{classes}, {model.manifest.sha256[:12]}"
                        typer.echo(f"{each}\t{number}\tok\t{facts}")
        if failed:
            raise typer.Exit(1)


def promote(
    name: NameArgument,
    version: Annotated[
        str, typer.Argument(help="A number, or 'latest' for always the newest.", metavar="VERSION")
    ],
    label: Annotated[
        str | None, typer.Option(help="Promote it under this label, such as 'stable'.")
    ] = None,
    keep_default: Annotated[
        bool, typer.Option("--keep-default", help="Move only the label.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a version the model's default version, after checking it.

    Running servers apply it within seconds.
    """
    with plain_errors():
        number = int(version) if version.isascii() and version.isdecimal() else None
        if (number is None and (version != "latest" or label or keep_default)) or number == 0:
            fail(f"'{version}' is not a version: give a number, or 'latest' without a label")
        if keep_default and label is None:
            fail("--keep-default needs --label")
        settings = settings_with_models(config, models=models)
        with open_control(settings) as control:
            asyncio.run(
                control.promote(
                    name, number, label=label, keep_default=keep_default, by=acting_user()
                )
            )
        _print_default(repository_of(settings), name)


def rollback(name: NameArgument, models: ModelsOption = None, config: ConfigOption = None) -> None:
    """Restore the default version that the last promotion replaced.

    Without an earlier promotion, the version below the newest becomes the default.
    """
    with plain_errors():
        settings = settings_with_models(config, models=models)
        with open_control(settings) as control:
            asyncio.run(control.roll_back(name, by=acting_user()))
        _print_default(repository_of(settings), name)


def remove(
    name: NameArgument,
    version: VersionArgument,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete a version; the default version and versions with a label are refused."""
    with plain_errors():
        settings = settings_with_models(config, models=models)
        with open_control(settings) as control:
            asyncio.run(control.remove(name, version, by=acting_user()))
        typer.echo(f"removed version {version} of {name}")


def _print_default(repository: Repository, name: str) -> None:
    from service.core.repository.serving_policy import target

    number = target(repository.policy(name), repository.versions(name))
    typer.echo(f"{name}: version {number} is the default")
