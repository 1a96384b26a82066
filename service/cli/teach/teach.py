"""``potoo teach``: teach a model from labelled photos, without a server."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    ModelsOption,
    acting_user,
    fail,
    plain_errors,
)
from service.cli.teach.subject import read_subject, subject_settings, tell_left_out

if TYPE_CHECKING:
    from schemas.teach.run import RunOptions
    from schemas.teach.verdict import Verdict
    from service.settings import Settings
    from service.teach.runs.offline.command import OfflineRun, Subject
    from service.teach.runs.records import StoredRun

NOT_ENOUGH = 3
"""Exit status of a version that was published from too few labels."""
PICTURE_SIDE = 160


def teach(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder with a folder for each class; a .csv or .json list beside its photos; "
            "or the name of a dataset.",
            metavar="FOLDER|DATASET",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that gets the version; a new one, or the next version.",
            show_default="as the folder or dataset",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Model whose features are used.", show_default="imagenet, or the default model"
        ),
    ] = None,
    base_version: Annotated[
        int | None, typer.Option(min=1, help="Its version.", show_default="the default version")
    ] = None,
    feature: Annotated[
        str | None,
        typer.Option(help="Tensor of its graph to use.", show_default="the penultimate"),
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make the version the model's default one.")
    ] = False,
    is_multi: Annotated[
        bool, typer.Option("--multi", help="Photos of a folder have any number of labels.")
    ] = False,
    foreign: Annotated[
        Path | None,
        typer.Option(
            help="A folder of photos that show nothing of the classes: the verdict says how many "
            "are answered.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="Say what each of these bases would give, and publish nothing.",
            metavar="BASE,BASE",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write the verdict with pictures into this file, HTML.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    models: ModelsOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Teach a model from labelled photos, judge it, and publish it as a version.

    Exit status 0 if there are enough labels, 3 if the version was published but more labels would
    help, 1 if nothing was published.

    Example: potoo teach bins/ --base imagenet --report bins.html
    """
    with plain_errors():
        from schemas.teach.run import RunOptions
        from service.cli.shared.spec_options import checked

        if report is not None and not report.resolve().parent.is_dir():
            fail(f"there is no folder {report.parent} for the report")
        settings = subject_settings(config, data_dir, models)
        subject, left_out = read_subject(settings, source, foreign, is_multi=is_multi)
        tell_left_out(left_out)
        values = {
            "model": model or _model_name(source),
            "base": base,
            "base_version": base_version,
            "feature": feature,
            "promote": promote,
        }
        options = checked(RunOptions, values)
        command = _command(settings)
        if compare is not None:
            _compare(command, subject, options, compare.split(","), as_json=as_json)
            return
        run = _teach(settings, command, subject, options)
        verdict = _verdict(run)
        if report is not None:
            report.write_text(_report(settings, run, subject))
        if as_json:
            typer.echo(_json(run))
        else:
            _print(run, verdict)
            if report is not None:
                typer.echo(f"report: {report}")
        if not verdict.enough:
            raise typer.Exit(NOT_ENOUGH)


def _command(settings: Settings) -> OfflineRun:
    from service.core.lifecycle.default_model import default_model
    from service.core.repository.repository import Repository
    from service.teach.runs.offline.command import OfflineRun
    from service.teach.runs.preparing import Folders

    repository = Repository(settings.models)
    default = default_model(settings.default_model, repository.chosen_model(), repository.names())
    folders = Folders(settings.models, settings.data_dir)
    return OfflineRun(folders, default, by=acting_user())


def _teach(
    settings: Settings, command: OfflineRun, subject: Subject, options: RunOptions
) -> StoredRun:
    import asyncio
    from dataclasses import replace

    from schemas.teach.run import RunState
    from service.cli.models.changing import open_control
    from service.teach.runs.preparing import Folders
    from service.teach.runs.problems import RunFailed
    from service.teach.runs.publisher import RunPublisher

    run = command.prepare(subject, options)
    progress = _ProgressLine()
    try:
        run = command.teach(run, subject, progress)
        run = replace(run, progress=run.progress.advanced(RunState.PUBLISHING))
        progress(run)
        with open_control(settings) as control:
            folders = Folders(settings.models, settings.data_dir)
            version = asyncio.run(RunPublisher(control, folders)(run))
    except RunFailed as failed:
        progress.end()
        fail(failed.detail)
    finally:
        progress.end()
        command.remove_files(run)
    tell_left_out([f"{one.photo}: {one.reason}" for one in run.skipped])
    return replace(run, progress=run.progress.done(version))


def _compare(
    command: OfflineRun, subject: Subject, options: RunOptions, bases: list[str], *, as_json: bool
) -> None:
    from schemas.errors import ServiceError
    from service.cli.teach.verdict_lines import base_lines
    from service.teach.runs.problems import RunFailed

    found: dict[str, Verdict | str] = {}
    for base in dict.fromkeys(name.strip() for name in bases):
        wanted = options.model_copy(update={"base": base, "base_version": None})
        progress = _ProgressLine(f"{base}: ")
        try:
            found[base] = command.judge(command.prepare(subject, wanted), subject, progress)
        except RunFailed as failed:
            found[base] = failed.detail
        except ServiceError as error:
            found[base] = error.detail
        finally:
            progress.end()
    if as_json:
        shown = {
            base: {"error": one} if isinstance(one, str) else one.model_dump(mode="json")
            for base, one in found.items()
        }
        typer.echo(json.dumps(shown, ensure_ascii=False))
    else:
        for line in base_lines(found):
            typer.echo(line)
    if all(isinstance(one, str) for one in found.values()):
        raise typer.Exit(1)


class _ProgressLine:
    """A line on standard error that follows a run, if that is a terminal."""

    def __init__(self, before: str = "") -> None:
        self._before, self._is_shown, self._said = before, sys.stderr.isatty(), ""

    def __call__(self, run: StoredRun) -> None:
        """Show how far the run is."""
        photos = f" {run.photos_done} of {run.photos_total} photos" if run.photos_total else ""
        text = f"{self._before}{run.state}{photos if run.state == 'extracting' else ''}"
        if self._is_shown and text != self._said:
            self._said = text
            typer.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def end(self) -> None:
        """Remove the line."""
        if self._is_shown:
            typer.echo("\r\x1b[K", nl=False, err=True)


def _verdict(run: StoredRun) -> Verdict:
    from schemas.teach.verdict import Verdict

    return Verdict.model_validate_json(run.verdict or "")


def _json(run: StoredRun) -> str:
    from service.teach.runs.records import shown_run

    return shown_run(run).model_dump_json()


def _print(run: StoredRun, verdict: Verdict) -> None:
    from service.cli.teach.verdict_lines import verdict_lines

    for line in verdict_lines(verdict):
        typer.echo(line)
    name, version = run.options.model, run.progress.version
    use = "it is the model's default version"
    if version != 1 and not run.options.promote:
        use = f"'potoo models promote {name} {version}' makes it the default version"
    typer.echo(f"published {name} {version} on {run.base.name} {run.base.version}; {use}")


def _report(settings: Settings, run: StoredRun, subject: Subject) -> str:
    from contextlib import suppress

    from schemas.errors import ServiceError
    from service.teach.datasets.photos.pictures import preview
    from service.teach.runs.report.of_run import report_of
    from service.teach.runs.report.page import report_html, wanted_pictures

    photos = {photo.id: photo for photo in subject.photos}
    pictures: dict[str, bytes] = {}
    for name in wanted_pictures(_verdict(run)):
        with suppress(ServiceError, OSError):
            image = subject.path_of(photos[name]).read_bytes()
            pictures[name] = preview(image, settings.limits.of_images, PICTURE_SIDE)
    return report_html(report_of(run, pictures))


def _model_name(source: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).resolve().stem).strip("-._")[:63]
    if not name:
        fail("give the model a name with --model")
    return name
