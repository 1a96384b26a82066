"""``potoo classify``."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared_options import (
    ConfigOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.core.classifier import Classifier
    from service.settings import Settings


def classify(
    files: Annotated[list[Path], typer.Argument(help="Image files.", metavar="FILE...")],
    model: Annotated[
        str | None, typer.Option(help="Which model.", show_default="the default one")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Predictions for each file.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Classify image files here, without a server. Exit status 1 if any file failed."""
    with plain_errors():
        settings = settings_with_models(config, models=models)
        if not asyncio.run(_classify_all(settings, files, model, top_k, as_json=as_json)):
            raise typer.Exit(1)


async def _classify_all(
    settings: Settings, files: list[Path], model: str | None, top_k: int, *, as_json: bool
) -> bool:
    from observability.metrics import Metrics
    from service.runtime import open_classifier, open_pool

    succeeded = True
    with open_pool(settings) as pool:
        async with open_classifier(settings, pool, Metrics()) as classifier:
            classifier.resolve(model)
            # A few at a time: enough for every core, little in memory.
            turn = asyncio.Semaphore(2 * pool.size)
            tasks = [
                asyncio.create_task(_classify_one(classifier, turn, file, model, top_k))
                for file in files
            ]
            for number, task in enumerate(tasks, 1):
                answer = await task
                succeeded &= "problem" not in answer
                typer.echo(json.dumps(answer) if as_json else _line(answer))
                if sys.stderr.isatty() and not sys.stdout.isatty():
                    typer.echo(f"\r{number} of {len(files)}", nl=False, err=True)
    return succeeded


async def _classify_one(
    classifier: Classifier, turn: asyncio.Semaphore, file: Path, model: str | None, top_k: int
) -> dict[str, object]:
    from schemas.errors import ServiceError

    async with turn:
        try:
            data = file.read_bytes()  # noqa: ASYNC240 - a command line keeps nobody waiting
            ref, answer = await classifier.classify(data, model=model, top_k=top_k, timeout=None)
        except OSError as error:
            return {"file": str(file), "problem": error.strerror or "cannot be read"}
        except ServiceError as error:
            return {"file": str(file), "problem": error.detail, "code": error.code}
        return {"file": str(file), "model": asdict(ref), **asdict(answer)}


def _line(answer: dict[str, object]) -> str:
    if "problem" in answer:
        return f"{answer['file']}: {answer['problem']}"
    shown = [f"{p['label']} {p['score']:.1%}" for p in answer["predictions"]]  # type: ignore[attr-defined]
    unsure = "not sure; " if answer["abstained"] else ""
    return f"{answer['file']}: {unsure}{', '.join(shown)}"
