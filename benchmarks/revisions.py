"""The server as it was: another revision checked out beside, run by the same environment."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.results import git
from benchmarks.subject import ROOT


class NoSuchRevision(Exception):
    """git does not know it; the message says so."""


def commit_of(revision: str) -> str:
    """The full hash.

    Raises:
        NoSuchRevision: if there is none.
    """
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise NoSuchRevision(f"there is no revision {revision} in this repository")
    return found


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A work tree of it in a temporary folder, which is taken away again."""
    with TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        _worktree("add", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _worktree("remove", "--force", str(tree))


def _worktree(*arguments: str) -> None:
    command = ["git", "worktree", *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
