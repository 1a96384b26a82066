"""Secrets as files: one a setting, named like its variable (``/run/secrets/potoo_database_url``).

That is how Docker, Kubernetes and systemd hand them over; a variable is seen by whoever may look at
the process. pydantic-settings reads them, this finds what it would pass over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

PREFIX = "POTOO_"


def faults(
    folder: Path, is_known: Callable[[str], bool], guess: Callable[[str], str]
) -> Iterator[str]:
    """A line for everything that does not fit, without any content.

    Files of other names may lie beside ours: a signing key that a setting points to, say.

    Args:
        is_known: of a variable's name.
        guess: what may have been meant by one that is not.
    """
    if not folder.is_dir():
        yield f"there is no folder {folder} with secrets"
        return
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():  # Kubernetes' ..data among them
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
