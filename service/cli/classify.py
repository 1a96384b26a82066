"""``potoo classify``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.classify import MAX_TOP_K
from service.cli.shared.answer_lines import prediction_lines, summary_line
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.core.imaging.answer import Classification, ModelRef
    from service.core.serving.classifier import Classifier
    from service.core.serving.ticket import Ticket
    from service.settings import Settings

PROTOCOL = "command_line"
STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Outcome of one file: a classification or an error."""

    file: Path
    found: tuple[ModelRef, Classification] | None = None
    problem: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """Options of one run."""

    model: str | None
    top_k: int
    as_json: bool
    shows_all: bool


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, folders of them at any depth, or '-' for standard input.",
            metavar="FILE...",
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="the default model")
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=1, max=MAX_TOP_K, help="Number of predictions with --all and --json.")
    ] = 3,
    shows_all: Annotated[
        bool, typer.Option("--all", help="Print the predictions below each summary.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Classify image files without a server. Exit status 1 if any file failed."""
    with plain_errors():
        settings = settings_with_models(config, models=models)
        wish = _Wish(model, top_k, as_json, shows_all)
        if not asyncio.run(_classify_all(settings, files, wish)):
            raise typer.Exit(1)


async def _classify_all(settings: Settings, files: list[Path], wish: _Wish) -> bool:
    from observability.metrics.metrics import Metrics
    from service.core.scheduling.call_context import CallContext
    from service.runtime.runtime import open_classifier, open_pool

    succeeded, is_noted = True, wish.as_json
    with open_pool(settings) as pool:
        async with open_classifier(settings, pool, Metrics()) as classifier:
            ticket = classifier.issue_ticket(wish.model, None, CallContext("", 1, PROTOCOL))
            # Read a few files at a time: enough to use every core without holding all in memory.
            turn = asyncio.Semaphore(2 * pool.size)
            files = list(_listed(files))
            tasks = [
                asyncio.create_task(_classify_one(classifier, turn, file, ticket)) for file in files
            ]
            for number, task in enumerate(tasks, 1):
                seen = await task
                succeeded &= seen.found is not None
                is_noted = is_noted or _note_uncalibrated(seen)
                typer.echo(_as_json(seen, wish) if wish.as_json else _as_text(seen, wish))
                if sys.stderr.isatty() and not sys.stdout.isatty():
                    typer.echo(f"\r{number} of {len(files)}", nl=False, err=True)
    return succeeded


def _listed(given: list[Path]) -> Iterator[Path]:
    """Yield the files, and in place of each folder the images below it, in order of their path.

    A folder without images is itself yielded. Hidden files and folders are left out, as are files
    with another ending than those of images. Standard input is taken once.
    """
    from service.modeltools.measuring.sample_images import SUFFIXES

    given = [one for place, one in enumerate(given) if one != STDIN or STDIN not in given[:place]]
    for one in given:
        if not one.is_dir():
            yield one
            continue
        found = [
            Path(folder, name)
            for folder, _, names in os.walk(one)
            for name in names
            if not any(part.startswith(".") for part in Path(folder, name).relative_to(one).parts)
            if Path(name).suffix.lower() in SUFFIXES
        ]
        yield from sorted(found) or [one]


async def _classify_one(
    classifier: Classifier, turn: asyncio.Semaphore, file: Path, ticket: Ticket
) -> _Seen:
    """Classify one file with all predictions: the scores of labels present are shown."""
    from schemas.errors import ServiceError

    async with turn:
        try:
            if file.is_dir():  # noqa: ASYNC240 - no other task waits for this one
                return _Seen(file, problem="no images in this folder")
            data = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()  # noqa: ASYNC240
            ref, answer = await classifier.classify(data, ticket, top_k=MAX_TOP_K)
        except OSError as error:
            return _Seen(file, problem=error.strerror or "cannot be read")
        except ServiceError as error:
            return _Seen(file, problem=error.detail, code=error.code)
        return _Seen(file, (ref, answer))


def _note_uncalibrated(seen: _Seen) -> bool:
    """Warn once per run that scores are not calibrated; ``--json`` has a member for it."""
    if seen.found is None or seen.found[1].calibrated:
        return False
    name = seen.found[0].name
    note = f"scores of '{name}' are not calibrated: see 'potoo models calibrate'"
    typer.echo(note, err=True)
    return True


def _as_json(seen: _Seen, wish: _Wish) -> str:
    said: dict[str, object] = {"file": str(seen.file)}
    if seen.found is None:
        said |= {"problem": seen.problem} | ({"code": seen.code} if seen.code else {})
    else:
        ref, answer = seen.found
        best = replace(answer, predictions=answer.predictions[: wish.top_k])
        said |= {"model": asdict(ref), **asdict(best)}
    return json.dumps(said)


def _as_text(seen: _Seen, wish: _Wish) -> str:
    if seen.found is None:
        return f"{seen.file}: {seen.problem}"
    answer = seen.found[1]
    lines = [f"{seen.file}: {summary_line(answer)}"]
    if wish.shows_all:
        lines += prediction_lines(answer.predictions[: wish.top_k])
    return "\n".join(lines)
