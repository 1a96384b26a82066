"""``potoo models``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
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
def optimise(
    name: NameArgument,
    images: Annotated[
        Path,
        typer.Option(
            help="Folder of photos like those it will see, in folders called like labels if they "
            "have any; a few hundred do.",
            exists=True,
            file_okay=False,
        ),
    ],
    max_loss: Annotated[
        float, typer.Option(min=0, max=100, help="Points of accuracy that it may lose.")
    ] = 1.0,
    keep_slower: Annotated[
        bool, typer.Option("--keep-slower", help="Even if it is no faster on this machine.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a faster version of a model: INT8, calibrated on your images and compared.

    It becomes the model's next version, with a report. One that loses too much is not written.
    """
    with plain_errors():
        from service.core.optimising import optimise
        from service.core.registry import find_versions
        from service.settings import load_settings

        settings = load_settings(config, models=models)
        folders = {folder.parent.name: folder for folder in find_versions(settings.models)}
        if name not in folders:
            fail(f"there is no model '{name}'")
        made = optimise(
            folders[name],
            images,
            allowed_points=max_loss,
            keep_slower=keep_slower,
            limits=settings.limits.of_images,
            progress=_show_progress,
        )
        typer.echo("", err=True)
        both = made.comparison
        typer.echo(f"{'':<22}{'original':>12}{'optimised':>12}")
        rows = [
            ("run, milliseconds", f"{both.original.run_ms:.2f}", f"{both.optimised.run_ms:.2f}"),
            ("size, MB", f"{both.original.bytes / 1e6:.2f}", f"{both.optimised.bytes / 1e6:.2f}"),
        ]
        if both.original.top1 is not None and both.optimised.top1 is not None:
            rows.append(("top-1", f"{both.original.top1:.1%}", f"{both.optimised.top1:.1%}"))
        rows.append(("same answer", "", f"{both.agreement:.1%}"))
        for title, original, optimised in rows:
            typer.echo(f"{title:<22}{original:>12}{optimised:>12}")
        typer.echo(f"written to {made.folder}; it is served from the next start on")


def _show_progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{what}: {done} of {total}   ", nl=False, err=True)


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
