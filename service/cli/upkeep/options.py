"""Options of the commands on backups, and how their passphrase is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import fail

if TYPE_CHECKING:
    from service.backup.manifest import Manifest

PASSPHRASE_VARIABLE = "BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable
FileArgument = Annotated[
    Path, typer.Argument(help="The backup.", metavar="FILE", show_default=False)
]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=f"File with the passphrase in its first line; else {PASSPHRASE_VARIABLE} of the "
        "environment.",
        show_default=False,
    ),
]


def given_passphrase(file: Path | None) -> str | None:
    """Return the passphrase of the file or the environment; None if there is none.

    Ends the command if it is too short.
    """
    from service.backup.sealing import MIN_PASSPHRASE_CHARS

    if file is not None:
        lines = file.read_text().splitlines() or [""]
        found, source = lines[0], str(file)
    else:
        found, source = os.environ.get(PASSPHRASE_VARIABLE, ""), PASSPHRASE_VARIABLE
        if not found:
            return None
    if len(found) < MIN_PASSPHRASE_CHARS:
        fail(f"{source}: the passphrase must have at least {MIN_PASSPHRASE_CHARS} characters")
    return found


def passphrase_of(backup: Path, file: Path | None) -> str | None:
    """Return the passphrase of a backup: that given, or asked for at a terminal if it needs one."""
    from service.backup.archive import is_encrypted

    if not is_encrypted(backup):
        return None
    found = given_passphrase(file)
    if found is None and sys.stdin.isatty():
        found = str(typer.prompt("Passphrase", hide_input=True, err=True))
    return found


def tell_contents(manifest: Manifest) -> None:
    """Print what a backup holds, one line for each kind of content."""
    typer.echo(f"made\t{manifest.made.isoformat(timespec='seconds')} by Potoo {manifest.potoo}")
    typer.echo(f"database\t{manifest.database}, revision {manifest.migration}")
    typer.echo(f"with\t{', '.join(manifest.parts) or 'accounts, keys and policies only'}")
    firsts = sorted({member.path.parts[0] for member in manifest.members})
    for first in firsts:
        members = manifest.below(first)
        size = sum(member.size for member in members)
        typer.echo(f"{first}\t{len(members)} files\t{size / 1e6:.1f} MB")
