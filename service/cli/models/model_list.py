"""``potoo models list`` and ``show``; functions to find models and versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from schemas.models import ModelManifest
    from service.core.repository.repository import Repository
    from service.settings import Settings

NameArgument = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]
NONE_ANSWERS = (
    "there is no default model: calls must name one; choose it with 'potoo models default NAME'"
)


def list_models(models: ModelsOption = None, config: ConfigOption = None) -> None:
    """List all versions: name, version, state, marks, top-1 accuracy, description.

    Marks: 'default-model' serves calls that name no model, 'default' calls that name no version;
    then labels, and 'uncalibrated' if the thresholds were not measured.

    The state is that of the files; 'verify' loads them. GET /v1/models lists what a server serves.
    """
    with plain_errors():
        from service.core.repository.repository import ModelRefused
        from service.core.repository.serving_policy import target
        from service.core.repository.version_files import read_manifest

        settings = settings_with_models(config, models=models)
        repository = repository_of(settings)
        names, default = names_in(repository), default_in(settings, repository)
        for name in names:
            versions, policy = repository.versions(name), repository.policy(name)
            answers = target(policy, versions)
            for number, folder in reversed(versions.items()):
                marks = ["default-model"] if (name, number) == (default, answers) else []
                marks += ["default"] if number == answers else []
                marks += sorted(label for label, meant in policy.labels.items() if meant == number)
                try:
                    manifest = read_manifest(folder)
                except ModelRefused as error:
                    shown = ",".join(marks) or "-"
                    typer.echo(f"{name}\t{number}\tFAILED\t{shown}\t-\t{error}")
                    continue
                _echo(manifest, marks)
        if default not in names:
            typer.echo(NONE_ANSWERS, err=True)


def show(
    name: NameArgument,
    version: Annotated[
        int | None, typer.Option(min=1, help="Which one.", show_default="the default one")
    ] = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Print a version's manifest as JSON."""
    with plain_errors():
        from service.core.repository.version_files import read_manifest

        repository = repository_of(settings_with_models(config, models=models))
        folder = version_folder(repository, name, version)
        typer.echo(read_manifest(folder).model_dump_json(indent=2))


def repository_of(settings: Settings) -> Repository:
    """Return the repository of the settings."""
    from service.core.repository.repository import Repository

    return Repository(settings.models)


def names_in(repository: Repository) -> list[str]:
    """List the models of the repository; exit with a message if there is none."""
    names = repository.names()
    if not names:
        fail(f"no models in {repository.root} (expected <name>/<version>/model.onnx)")
    return names


def default_in(settings: Settings, repository: Repository) -> str | None:
    """Return the default model of a server with these settings, or None."""
    from service.core.lifecycle.default_model import default_model

    setting = settings.default_model
    chosen = repository.chosen_model() if setting is None else None
    return default_model(setting, chosen, repository.names())


def version_folder(repository: Repository, name: str, version: int | None) -> Path:
    """Return the folder of a version; ``version`` None: the default version."""
    from service.core.repository.serving_policy import candidates

    available = repository.versions(name)
    if version is None:
        version = next(iter(candidates(repository.policy(name), available)), max(available))
    return repository.version(name, version)


def _echo(manifest: ModelManifest, marks: list[str]) -> None:
    """Print the line of a version whose files match its manifest."""
    if manifest.calibration is None:
        marks = [*marks, "uncalibrated"]
    shown = ",".join(marks) or "-"
    accuracy = f"{manifest.accuracy[0].top1:.1%}" if manifest.accuracy else "-"
    typer.echo(
        f"{manifest.name}\t{manifest.version}\tok\t{shown}\t{accuracy}\t"
        f"{manifest.description}".rstrip()
    )
