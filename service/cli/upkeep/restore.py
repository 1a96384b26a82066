"""``potoo restore``."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors
from service.cli.upkeep.options import (
    FileArgument,
    PassphraseFileOption,
    passphrase_of,
    tell_contents,
)

ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="Move accounts, keys and models that are there aside."),
]


def restore(
    file: FileArgument,
    replace: ReplaceOption = False,
    passphrase_file: PassphraseFileOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Restore a backup. Stop the servers first.

    The whole backup is checked before anything is changed. A backup of an older version is
    migrated, one of a later version refused.
    """
    with plain_errors("nothing is restored: "):
        from service.backup.restoring import restore as restore_backup
        from service.cli.shared.service_settings import account_settings

        passphrase = passphrase_of(file, passphrase_file)
        settings = account_settings(config, data_dir)
        done = restore_backup(settings, file, passphrase, replace=replace)
        typer.echo(f"restored\t{file}")
        tell_contents(done.manifest)
        for place in done.aside:
            typer.echo(f"moved aside\t{place}")
