"""An earlier revision of the server, checked out to run in the same environment."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.support.results import git
from benchmarks.support.subject import ROOT


class NoSuchRevision(Exception):
    """The revision is unknown to git. The message is for people."""


def commit_of(revision: str) -> str:
    """Return the full hash of a revision.

    Raises:
        NoSuchRevision: the revision is unknown.
    """
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise NoSuchRevision(f"there is no revision {revision} in this repository")
    return found


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check out a commit as a work tree in a temporary folder, removed afterwards."""
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
