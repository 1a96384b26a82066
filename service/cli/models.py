"""``potoo models``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from service.cli.shared_options import ConfigOption, ModelsOption, fail, plain_errors

app = typer.Typer(help="List, show and verify the models of a repository.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Name of the model.", metavar="NAME")]


@app.command("list")
def list_models(models: ModelsOption = None, config: ConfigOption = None) -> None:
    """List the models that would be served: name, version, top-1 accuracy, description."""
    with plain_errors():
        from service.core.registry import find_versions, read_manifest
        from service.settings import load_settings

        for folder in find_versions(load_settings(config, models=models).models):
            manifest = read_manifest(folder)
            accuracy = f"{manifest.accuracy[0].top1:.1%}" if manifest.accuracy else "-"
            typer.echo(f"{manifest.name}\t{manifest.version}\t{accuracy}\t{manifest.description}")


@app.command()
def show(name: NameArgument, models: ModelsOption = None, config: ConfigOption = None) -> None:
    """Print a model's manifest as JSON."""
    with plain_errors():
        from service.core.registry import find_versions, read_manifest
        from service.settings import load_settings

        for folder in find_versions(load_settings(config, models=models).models):
            if folder.parent.name == name:
                typer.echo(read_manifest(folder).model_dump_json(indent=2))
                return
        fail(f"there is no model '{name}'")


@app.command()
def verify(models: ModelsOption = None, config: ConfigOption = None) -> None:
    """Load every model and check digest, manifest, graph and golden samples."""
    with plain_errors():
        from observability.metrics import Metrics
        from service.runtime import open_classifier, open_pool
        from service.settings import load_settings

        settings = load_settings(config, models=models)

        async def check() -> None:
            with open_pool(settings) as pool:
                async with open_classifier(settings, pool, Metrics()) as classifier:
                    for model in classifier.models().models:
                        digest = classifier.model(model.name).sha256[:12]
                        typer.echo(
                            f"{model.name}\t{model.version}\tok\t{model.classes} classes, {digest}"
                        )

        asyncio.run(check())
