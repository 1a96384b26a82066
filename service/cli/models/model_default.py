"""``potoo models default``: choose or print the default model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import open_control
from service.cli.models.model_list import default_in, repository_of
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
    from service.settings import Settings

_IS_DEFAULT = "is the default model"


def default(
    name: Annotated[
        str | None,
        typer.Argument(
            help="The new default model. Without it, the present one is printed.",
            metavar="[NAME]",
            show_default=False,
        ),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Remove the choice.")] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Choose the default model, which serves calls that name no model, or print it.

    The choice is stored in the repository for all servers that use it; running ones apply it within
    seconds. A server's setting 'default_model' overrides it.
    """
    with plain_errors():
        settings = settings_with_models(config, models=models)
        repository = repository_of(settings)
        if name is not None and none:
            fail("give a NAME or --none, not both")
        if name is not None or none:
            _choose(settings, name)
        typer.echo(_describe(settings, repository))


def _choose(settings: Settings, name: str | None) -> None:
    with open_control(settings) as control:
        try:
            asyncio.run(control.choose_default(name, by=acting_user()))
        except OSError as error:
            fail(f"cannot write into {settings.models}: {error.strerror}")


def _describe(settings: Settings, repository: Repository) -> str:
    """Describe which model is the default, and why."""
    setting, chosen = settings.default_model, repository.chosen_model()
    if setting is not None:
        stored = f"'{chosen}'" if chosen else "none"
        return (
            f"{setting} {_IS_DEFAULT}: the setting default_model overrides the choice stored here "
            f"({stored})"
        )
    answers = default_in(settings, repository)
    if answers is not None:
        return f"{answers} {_IS_DEFAULT}: it is {'chosen' if chosen else 'the only one'}"
    which = f"one of {', '.join(repository.names())}"
    if chosen is not None:
        return f"'{chosen}' is chosen, but there is no such model: calls must name {which}"
    return f"there is no default model: calls must name {which}"
