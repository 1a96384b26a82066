"""``potoo models``: what is in the repository, and which version answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import model_evaluate, model_import, model_optimise
from service.cli.shared_options import ConfigOption, ModelsOption, fail, plain_errors

if TYPE_CHECKING:
    from schemas.serving import ServingPolicy
    from service.core.repository import Repository
    from service.settings import Settings

app = typer.Typer(help="Add, check and choose the models of a repository.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]
VersionArgument = Annotated[int, typer.Argument(help="Its version.", metavar="VERSION", min=1)]

app.command("add")(model_import.add)
app.command("pull")(model_import.pull)
app.command("evaluate")(model_evaluate.evaluate)
app.command("calibrate")(model_evaluate.calibrate)


@app.command("list")
def list_models(models: ModelsOption = None, config: ConfigOption = None) -> None:
    """List all versions: name, version, state, default and labels, top-1 accuracy, description.

    The state is that of the files; 'verify' runs them. GET /v1/models tells what a server serves.
    """
    with plain_errors():
        from service.core.repository import ModelRefused, read_manifest
        from service.core.serving_policy import target

        repository = _repository(models, config)
        for name in _names(repository):
            versions, policy = repository.versions(name), repository.policy(name)
            answers = target(policy, versions)
            for number, folder in reversed(versions.items()):
                marks = ["default"] if number == answers else []
                marks += sorted(label for label, meant in policy.labels.items() if meant == number)
                shown = ",".join(marks) or "-"
                try:
                    manifest = read_manifest(folder)
                except ModelRefused as error:
                    typer.echo(f"{name}\t{number}\tFAILED\t{shown}\t-\t{error}")
                    continue
                accuracy = f"{manifest.accuracy[0].top1:.1%}" if manifest.accuracy else "-"
                typer.echo(
                    f"{name}\t{number}\tok\t{shown}\t{accuracy}\t{manifest.description}".rstrip()
                )


@app.command()
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
        from service.core.repository import read_manifest

        folder = _version(_repository(models, config), name, version)
        typer.echo(read_manifest(folder).model_dump_json(indent=2))


@app.command()
def optimise(
    name: NameArgument,
    images: Annotated[
        Path,
        typer.Option(
            help="Photos like those it will see: a folder, with folders called like labels if they "
            "have any, or a CSV file with the columns file and label; a few hundred do.",
            exists=True,
        ),
    ],
    max_loss: Annotated[
        float, typer.Option(min=0, max=100, help="Points of accuracy that it may lose.")
    ] = 1.0,
    min_agreement: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Percent of the photos that the original is sure about (half or more) on which "
            "it must answer the same; 0: does not matter.",
        ),
    ] = 97.0,
    keep_slower: Annotated[
        bool, typer.Option("--keep-slower", help="Even if it is no faster on this machine.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a faster version of a model: INT8, calibrated on your images and compared.

    It becomes the model's newest version, with a report. One that loses too much is not written.
    """
    with plain_errors():
        from service.core.repository import Repository
        from service.modeltools.optimising import optimise
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        made = optimise(
            _version(Repository(settings.models), name, None),
            images,
            allowed_points=max_loss,
            min_agreement=min_agreement,
            keep_slower=keep_slower,
            limits=settings.limits.of_images,
            progress=model_import.show_progress,
            notice=lambda remark: typer.echo(f"note: {remark}"),
        )
        if sys.stderr.isatty():
            typer.echo("", err=True)
        model_optimise.show(made.comparison)
        typer.echo(f"written to {made.folder}; {model_import.WHEN_SERVED}")


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="Only this model.", metavar="[NAME]", show_default=False)
    ] = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Load every version and check digest, manifest, graph and golden samples.

    Exit status 1 if any of them failed.
    """
    with plain_errors():
        from service.core.repository import ModelRefused, Repository
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        repository, failed = Repository(settings.models), False
        names = _names(repository) if name is None else [name]
        with model_import.checking(settings) as check:
            for each in names:
                for number, folder in reversed(repository.versions(each).items()):
                    try:
                        model = check(folder)
                    except ModelRefused as error:
                        typer.echo(f"{each}\t{number}\tFAILED\t{error}")
                        failed = True
                    else:
                        facts = f"{len(model.labels)} classes, {model.manifest.sha256[:12]}"
                        typer.echo(f"{each}\t{number}\tok\t{facts}")
        if failed:
            raise typer.Exit(1)


@app.command()
def promote(
    name: NameArgument,
    version: Annotated[
        str, typer.Argument(help="A number, or 'latest': always the newest.", metavar="VERSION")
    ],
    label: Annotated[
        str | None, typer.Option(help="Promote it under this label, such as 'stable'.")
    ] = None,
    keep_default: Annotated[
        bool, typer.Option("--keep-default", help="Only move the label.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Have a version answer by default, once it passed its checks here.

    Running servers take it up within seconds.
    """
    with plain_errors():
        from service.core.repository import Repository
        from service.core.serving_policy import promoted
        from service.settings import load_settings

        number = int(version) if version.isascii() and version.isdecimal() else None
        if (number is None and (version != "latest" or label or keep_default)) or number == 0:
            fail(f"'{version}' is no version: give a number, or 'latest' without a label")
        if keep_default and label is None:
            fail("--keep-default moves a label alone: give --label")
        settings = load_settings(config, models=models)
        repository = Repository(settings.models)
        there = repository.versions(name)
        with model_import.checking(settings) as check:
            answering = _answering(repository, name, check)
            if number is not None:
                check(repository.version(name, number))
        policy = repository.change_policy(
            name,
            lambda policy: promoted(
                policy, number, answering, label=label, keep_default=keep_default
            ),
        )
        _tell_default(name, policy, there)


@app.command()
def rollback(name: NameArgument, models: ModelsOption = None, config: ConfigOption = None) -> None:
    """Have what answered before the last promotion answer again.

    Without a promotion to undo, the version below the newest is pinned.
    """
    with plain_errors():
        from service.core.repository import Repository
        from service.core.serving_policy import rolled_back, target
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        repository = Repository(settings.models)
        there = repository.versions(name)

        def change(policy: ServingPolicy) -> ServingPolicy:
            return rolled_back(policy, there, answering)

        with model_import.checking(settings) as check:
            answering = _answering(repository, name, check)
            returns_to = target(change(repository.policy(name)), there)
            check(there[returns_to or 0])
        _tell_default(name, repository.change_policy(name, change), there)


@app.command()
def remove(
    name: NameArgument,
    version: VersionArgument,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete a version; not the one that answers by default, nor one with a label."""
    with plain_errors():
        from service.core.publishing import remove
        from service.core.repository import Repository
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        repository = Repository(settings.models)
        for label, number in repository.policy(name).labels.items():
            if number == version:
                fail(f"version {version} of '{name}' is labelled '{label}': move the label first")
        with model_import.checking(settings) as check:
            if _answering(repository, name, check) == version:
                fail(f"version {version} of '{name}' answers by default: promote another first")
        remove(repository, name, version)
        typer.echo(f"removed version {version} of {name}")


def _repository(models: Path | None, config: Path | None) -> Repository:
    from service.core.repository import Repository
    from service.settings import load_settings

    settings: Settings = load_settings(config, models=models)
    return Repository(settings.models)


def _names(repository: Repository) -> list[str]:
    names = repository.names()
    if not names:
        fail(f"no models in {repository.root} (expected <name>/<version>/model.onnx)")
    return names


def _version(repository: Repository, name: str, version: int | None) -> Path:
    """The folder of a version; None for the one that is to answer by default."""
    from service.core.serving_policy import candidates

    there = repository.versions(name)
    if version is None:
        version = next(iter(candidates(repository.policy(name), there)), max(there))
    return repository.version(name, version)


def _answering(repository: Repository, name: str, check: Callable[[Path], object]) -> int | None:
    """The version that a server would answer with: the first one that passes its checks."""
    from service.core.repository import ModelRefused
    from service.core.serving_policy import candidates

    there = repository.versions(name)
    for number in candidates(repository.policy(name), there):
        with suppress(ModelRefused):
            check(there[number])
            return number
    return None


def _tell_default(name: str, policy: ServingPolicy, there: Collection[int]) -> None:
    from service.core.serving_policy import target

    typer.echo(f"{name}: version {target(policy, there)} answers by default")
