"""``potoo backup create``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, fail, plain_errors, tell
from service.cli.upkeep.options import PassphraseFileOption, given_passphrase, tell_contents

if TYPE_CHECKING:
    from service.backup.manifest import Part

FileOption = Annotated[
    Path | None, typer.Argument(help="File to write.", metavar="[FILE]", show_default=False)
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder", help="Instead of FILE: a folder, for a file with the time in its name."
    ),
]
KeepOption = Annotated[
    int, typer.Option("--keep", min=1, help="With --folder: number of backups that are kept.")
]
WithOption = Annotated[
    str,
    typer.Option(
        "--with",
        help="Also back up, separated by commas: models, datasets, events.",
        metavar="LIST",
    ),
]
EncryptOption = Annotated[
    bool, typer.Option("--encrypt", help="Ask for a passphrase and encrypt the backup.")
]


def create(
    file: FileOption = None,
    folder: FolderOption = None,
    keep: KeepOption = 7,
    with_parts: WithOption = "",
    encrypt: EncryptOption = False,
    passphrase_file: PassphraseFileOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Back up the database, the signing keys and the policies of models, while servers run.

    The file has mode 0600. A passphrase encrypts it; without one, protect it like the keys in it.
    """
    with plain_errors("no backup: "):
        from service.backup.creating import back_up, given_keys
        from service.backup.keeping import next_file, remove_old
        from service.cli.shared.service_settings import account_settings

        if (file is None) == (folder is None):
            fail("give either FILE or --folder")
        parts = _parts(with_parts)
        passphrase = given_passphrase(passphrase_file)
        if passphrase is None and encrypt:
            passphrase = _asked()
        settings = account_settings(config, data_dir)
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = next_file(folder)
        target = file or Path()
        manifest = back_up(settings, target, parts, passphrase)
        typer.echo(f"written\t{target}")
        tell_contents(manifest)
        if passphrase is None:
            tell(f"{target} is not encrypted and holds secrets: protect it (see --passphrase-file)")
        for name in given_keys(settings):
            tell(f"the backup does not hold {name}: keep it with your other secrets")
        if folder is not None:
            for old in remove_old(folder, keep):
                typer.echo(f"removed\t{old}")


def _parts(text: str) -> list[Part]:
    from typing import get_args

    from service.backup.manifest import Part

    chosen = [word.strip() for word in text.split(",") if word.strip()]
    known: tuple[Part, ...] = get_args(Part)
    for word in chosen:
        if word not in known:
            fail(f"--with: there is no '{word}', only {', '.join(known)}")
    return [part for part in known if part in chosen]


def _asked() -> str:
    from service.backup.sealing import MIN_PASSPHRASE_CHARS

    found = str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))
    if len(found) < MIN_PASSPHRASE_CHARS:
        fail(f"the passphrase must have at least {MIN_PASSPHRASE_CHARS} characters")
    return found
