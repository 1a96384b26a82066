"""``potoo models``: manage the model repository and the default version of each model."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models import (
    model_add,
    model_build,
    model_default,
    model_evaluate,
    model_import,
    model_list,
    model_optimise,
    model_pull,
)
from service.cli.models.model_list import NameArgument, names_in, version_folder
from service.cli.shared_options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from schemas.serving import ServingPolicy

app = typer.Typer(help="Add, check and choose the models of a repository.", no_args_is_help=True)
VersionArgument = Annotated[
    int, typer.Argument(help="Number of the version.", metavar="VERSION", min=1)
]

app.command("add")(model_add.add)
app.command("build")(model_build.build)
app.command("pull")(model_pull.pull)
app.command("catalogue")(model_pull.catalogue)
app.command("list")(model_list.list_models)
app.command("show")(model_list.show)
app.command("default")(model_default.default)
app.command("evaluate")(model_evaluate.evaluate)
app.command("calibrate")(model_evaluate.calibrate)


@app.command()
def optimise(
    name: NameArgument,
    images: Annotated[
        Path,
        typer.Option(
            help="A few hundred typical photos: a folder (with one folder per label, if labels are "
            "known), or a CSV file with the columns file and label.",
            exists=True,
        ),
    ],
    max_loss: Annotated[
        float, typer.Option(min=0, max=100, help="Permitted loss of accuracy in percentage points.")
    ] = 1.0,
    min_agreement: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Least percentage of equal answers, among photos that the original is sure about.",
        ),
    ] = 95.0,
    keep_slower: Annotated[
        bool,
        typer.Option("--keep-slower", help="Write it even if it is no faster on this machine."),
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Quantise a model to INT8, calibrated on your images, and compare it with the original.

    It becomes the model's newest version, with a report. It is not written if it loses too much.
    """
    with plain_errors():
        from service.core.repository.repository import Repository
        from service.modeltools.optimising.optimising import optimise

        settings = settings_with_models(config, models=models)
        made = optimise(
            version_folder(Repository(settings.models), name, None),
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
        from service.core.repository.repository import ModelRefused, Repository

        settings = settings_with_models(config, models=models)
        repository, failed = Repository(settings.models), False
        names = names_in(repository) if name is None else [name]
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
        from service.core.repository.repository import Repository
        from service.core.repository.serving_policy import promoted
        from service.modeltools.importing.answering import answering

        number = int(version) if version.isascii() and version.isdecimal() else None
        if (number is None and (version != "latest" or label or keep_default)) or number == 0:
            fail(f"'{version}' is not a version: give a number, or 'latest' without a label")
        if keep_default and label is None:
            fail("--keep-default needs --label")
        settings = settings_with_models(config, models=models)
        repository = Repository(settings.models)
        there = repository.versions(name)
        with model_import.checking(settings) as check:
            before = answering(repository, name, check)
            if number is not None:
                check(repository.version(name, number))
        policy = repository.change_policy(
            name,
            lambda policy: promoted(policy, number, before, label=label, keep_default=keep_default),
        )
        _tell_default(name, policy, there)


@app.command()
def rollback(name: NameArgument, models: ModelsOption = None, config: ConfigOption = None) -> None:
    """Restore the default version that the last promotion replaced.

    Without an earlier promotion, the version below the newest becomes the default.
    """
    with plain_errors():
        from service.core.repository.repository import Repository
        from service.core.repository.serving_policy import rolled_back, target
        from service.modeltools.importing.answering import answering

        settings = settings_with_models(config, models=models)
        repository = Repository(settings.models)
        there = repository.versions(name)

        def change(policy: ServingPolicy) -> ServingPolicy:
            return rolled_back(policy, there, before)

        with model_import.checking(settings) as check:
            before = answering(repository, name, check)
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
    """Delete a version; the default version and versions with a label are refused."""
    with plain_errors():
        from service.core.repository.publishing import refuse_needed, remove
        from service.core.repository.repository import Repository
        from service.modeltools.importing.answering import answering

        settings = settings_with_models(config, models=models)
        repository = Repository(settings.models)
        if name == settings.default_model and list(repository.versions(name)) == [version]:
            fail(f"the setting default_model names '{name}', and this is its last version")
        refuse_needed(repository, name, version)
        for label, number in repository.policy(name).labels.items():
            if number == version:
                fail(f"version {version} of '{name}' is labelled '{label}': move the label first")
        with model_import.checking(settings) as check:
            if answering(repository, name, check) == version:
                fail(f"version {version} of '{name}' is the default: promote another one first")
        remove(repository, name, version)
        typer.echo(f"removed version {version} of {name}")


def _tell_default(name: str, policy: ServingPolicy, there: Collection[int]) -> None:
    from service.core.repository.serving_policy import target

    typer.echo(f"{name}: version {target(policy, there)} is the default")
