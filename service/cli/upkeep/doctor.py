"""``potoo doctor``."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, fail, plain_errors

SiteOption = Annotated[
    str | None,
    typer.Option("--site", help="Address from outside, such as https://cam.example.org."),
]
PrometheusOption = Annotated[
    str | None, typer.Option("--prometheus", help="Address of Prometheus, for its targets.")
]
BackupsOption = Annotated[
    Path | None, typer.Option("--backups", help="Folder of backups, for the age of the newest.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a list of findings as JSON.")]
COLOURS = {"ok": "green", "skipped": "bright_black", "warning": "yellow", "failed": "red"}


def doctor(
    site: SiteOption = None,
    prometheus: PrometheusOption = None,
    backups: BackupsOption = None,
    json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Check a server as its operator should, and say how to mend what is wrong.

    Nothing is changed. Exit status 0: all is well; 1: there are warnings; 2: something failed.
    """
    with plain_errors():
        from observability.logs.logging import configure_logging
        from observability.logs.terminal import takes_colour
        from service.cli.shared.service_settings import account_settings
        from service.doctor.examining import examine, exit_status

        for address in (site, prometheus):
            if address is not None and not address.startswith(("https://", "http://")):
                fail(f"'{address}' must begin with https:// or http://")
        settings = account_settings(config, data_dir)
        # Findings tell what is wrong.
        configure_logging(settings.observability.model_copy(update={"log_level": "critical"}))
        is_coloured = takes_colour(sys.stdout)
        findings = []
        for one in examine(settings, site=site, prometheus=prometheus, backups=backups):
            findings.append(one)
            if not json:
                level = f"{one.level:8}"
                shown = typer.style(level, fg=COLOURS[one.level]) if is_coloured else level
                typer.echo(f"{shown} {one.check:16} {one.seen}")
                if one.mend:
                    typer.echo(f"{'':25} -> {one.mend}")
        if json:
            typer.echo(json_format.dumps([asdict(one) for one in findings], indent=1))
    raise typer.Exit(exit_status(findings))
