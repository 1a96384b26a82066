"""``potoo models evaluate`` and ``calibrate``: measure accuracy, fit thresholds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.models.changing import checking, publisher
from service.cli.models.model_import import show_progress
from service.cli.models.model_list import NameArgument, repository_of, version_folder
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.core.repository.repository import Repository
    from service.modeltools.measuring.calibrating import Calibrated
    from service.modeltools.measuring.evaluation import Evaluation

ImagesOption = Annotated[
    Path,
    typer.Option(
        help="Photos whose content is known: a folder with folders called like labels, synonyms or "
        "groups, or a CSV file with the columns file and label; a label may be several names with "
        "| between them, any of which is right.",
        exists=True,
    ),
]
ForeignOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="A folder of photos of what the model does not know: every name for them is wrong. "
        "Repeatable.",
        exists=True,
        file_okay=False,
    ),
]
VersionOption = Annotated[
    int | None,
    typer.Option(min=1, help="Version of the model.", show_default="the default version"),
]


def evaluate(
    name: NameArgument,
    images: ImagesOption,
    foreign: ForeignOption = None,
    version: VersionOption = None,
    against: Annotated[
        int | None,
        typer.Option(min=1, help="Another version to compare with.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    confusion: Annotated[
        Path | None,
        typer.Option(
            help="Draw which classes are confused, as a PNG in this file.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Print one line per class too.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure a model on your photos: share of answers, and share of correct answers.

    Exit status 1 if nothing can be measured.
    """
    with plain_errors():
        from service.modeltools.measuring.confusion_picture import draw_confusion
        from service.modeltools.measuring.running import evaluate, observe, open_version

        if confusion is not None and not confusion.resolve().parent.is_dir():
            fail(f"there is no folder {confusion.parent} for the picture")
        settings = settings_with_models(config, models=models)
        repository = repository_of(settings)
        folders = [version_folder(repository, name, version)]
        if against is not None:
            folders.insert(0, repository.version(name, against))
            if folders[0] == folders[1]:
                fail(f"--against {against} is the same version: give another one")
        found: dict[int, Evaluation] = {}
        unreadable: dict[int, int] = {}
        for folder in folders:
            opened = open_version(folder)
            observed = observe(
                opened,
                images,
                foreign or (),
                settings.limits.of_images,
                show_progress,
                _tell,
            )
            _end_progress()
            found[opened.manifest.version] = evaluate(observed)
            unreadable[opened.manifest.version] = observed.unreadable
        if as_json:
            _print_json(name, found, unreadable)
        else:
            _print_tables(name, found, per_class=per_class)
        if confusion is not None:
            draw_confusion(list(found.values())[-1], confusion)
            typer.echo(f"drawn in {confusion}", err=as_json)


def calibrate(
    name: NameArgument,
    images: ImagesOption,
    foreign: ForeignOption = None,
    precision: Annotated[
        float,
        typer.Option(help="Target share of correct answers, above 0 and below 1."),
    ] = 0.95,
    version: VersionOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the result and write nothing.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Fit a model's temperature and thresholds to reach a precision.

    Half of the photos are used to fit, the other half to measure. The result is the model's newest
    version.
    """
    with plain_errors():
        from service.modeltools.measuring.calibrating import calibrate

        settings = settings_with_models(config, models=models)
        repository = repository_of(settings)
        with checking(settings) as check:
            made = calibrate(
                version_folder(repository, name, version),
                images,
                foreign or (),
                precision=precision,
                limits=settings.limits.of_images,
                check=check,
                dry_run=dry_run,
                progress=show_progress,
                notice=_tell,
                publish=publisher(settings),
            )
        _end_progress()
        _print_calibrated(made, precision)
        if made.folder is None:
            typer.echo("nothing was written (--dry-run)")
        else:
            typer.echo(f"written to {made.folder}; {_what_answers(repository, name, made.folder)}")


def _tell(remark: str) -> None:
    # Clear the progress line before the table.
    begin = "\r\x1b[K" if sys.stderr.isatty() else ""
    typer.echo(f"{begin}note: {remark}", err=True)


def _print_json(name: str, found: dict[int, Evaluation], unreadable: dict[int, int]) -> None:
    from service.modeltools.measuring.evaluation_report import as_json

    sides = [
        {"version": number, "unreadable": unreadable[number], **_members(as_json(side))}
        for number, side in found.items()
    ]
    typer.echo(json.dumps({"model": name, "evaluations": sides}, indent=2, ensure_ascii=False))


def _members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _print_tables(name: str, found: dict[int, Evaluation], *, per_class: bool) -> None:
    from service.modeltools.measuring.evaluation_report import class_table, curve_table, table

    titles, sides = [f"{name} {number}" for number in found], list(found.values())
    _echo(table(titles, sides))
    if curve := curve_table(titles, sides):
        _echo(["", *curve])
    if per_class:
        for title, side in zip(titles, sides, strict=True):
            _echo(["", f"{title}:" if len(titles) > 1 else "", *class_table(side)])


def _print_calibrated(made: Calibrated, precision: float) -> None:
    from service.modeltools.measuring.evaluation_report import table

    typer.echo(f"fitted on {made.fitted_on} images, measured on others:")
    _echo(table(["before", "after"], [made.before, made.after]))
    label, *groups = [f"{each:g}" if each < 1 else "never" for each in made.thresholds]
    wider = f"; groups, the narrowest first: {', '.join(groups)}" if groups else ""
    typer.echo(f"temperature {made.temperature:g}; least score of a label: {label}{wider}")
    right = made.after.precision_with_foreign
    if right.value is None:
        typer.echo(f"promised {precision:.1%}; nothing was answered")
    else:
        typer.echo(f"promised {precision:.1%}; {right.value:.1%} of {right.of} answers were right")


def _echo(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


def _end_progress() -> None:
    if sys.stderr.isatty():
        typer.echo("", err=True)


def _what_answers(repository: Repository, name: str, folder: Path) -> str:
    """Describe whether servers load the new version under the present policy."""
    from service.core.repository.serving_policy import target

    answers = target(repository.policy(name), repository.versions(name))
    if str(answers) == folder.name:
        return "running servers load it within seconds"
    return (
        f"version {answers} stays the default; 'potoo models promote {name} {folder.name}' makes "
        "the new one the default"
    )
