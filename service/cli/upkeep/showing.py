"""``potoo backup show`` and ``potoo backup verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.shared.options import plain_errors
from service.cli.upkeep.options import (
    FileArgument,
    PassphraseFileOption,
    passphrase_of,
    tell_contents,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the whole manifest as JSON.")]


def show(
    file: FileArgument, json: JsonOption = False, passphrase_file: PassphraseFileOption = None
) -> None:
    """Print what a backup says it holds; only its manifest is read."""
    with plain_errors():
        from auth.store.database import HEAD
        from service.backup.archive import read_manifest

        manifest = read_manifest(file, passphrase_of(file, passphrase_file), HEAD)
        if json:
            typer.echo(manifest.model_dump_json(indent=1))
        else:
            tell_contents(manifest)


def verify(file: FileArgument, passphrase_file: PassphraseFileOption = None) -> None:
    """Read a backup to its end and check all digests. Exit status 1 if it cannot be restored."""
    with plain_errors():
        from auth.store.database import HEAD
        from service.backup.archive import read_archive

        manifest = read_archive(file, passphrase_of(file, passphrase_file), HEAD)
        tell_contents(manifest)
        typer.echo(f"verified\t{len(manifest.members)} files")
