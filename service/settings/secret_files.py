"""Check secret files: one per setting, named like its variable.

Docker, Kubernetes and systemd provide secrets this way (``/run/secrets/potoo_database_url``); a
variable is visible to every user who may inspect the process. pydantic-settings reads the files;
this module reports those it would silently ignore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

PREFIX = "POTOO_"


def faults(
    folder: Path, is_known: Callable[[str], bool], guess: Callable[[str], str]
) -> Iterator[str]:
    """Yield one line per fault, without any content of the files.

    Files with other names may be in the folder, such as a signing key that a setting points to.

    Args:
        is_known: whether a variable's name is a setting.
        guess: returns a hint for an unknown name.
    """
    if not folder.is_dir():
        yield f"there is no folder {folder} with secrets"
        return
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():  # such as Kubernetes' ..data
            continue
        try:
            file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            yield f"cannot read the secret {file}: {why}"
            continue
        name = file.name.upper()
        if not name.startswith(PREFIX):
            continue
        if not is_known(name):
            yield f"unknown setting among the secrets: {file}{guess(name)}"
        elif not file.resolve().is_relative_to(folder.resolve()):
            yield f"the secret {file} is a link out of its folder: put the file itself there"
